#include "flow/address.hpp"

#include "base/text.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <cstring>
#include <fmt/format.h>
#include <iterator>
#include <netinet/in.h>

namespace ubf {
namespace {

constexpr std::array<std::uint8_t, 12> mapped_prefix{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

// The first `length` bits of both are the same.
bool same_bits(const Address::Bytes& a, const Address::Bytes& b, unsigned length) {
    const auto whole = static_cast<std::ptrdiff_t>(length / 8);
    if (!std::equal(a.begin(), a.begin() + whole, b.begin()))
        return false;
    const unsigned rest = length % 8;
    if (rest == 0)
        return true;
    const auto mask = static_cast<std::uint8_t>(0xff << (8 - rest));
    const auto i = static_cast<std::size_t>(whole);
    return ((a[i] ^ b[i]) & mask) == 0;
}

Address::Bytes with_host_bits(Address::Bytes bytes, unsigned length) {
    for (unsigned bit = length; bit < 128; ++bit)
        bytes[bit / 8] = static_cast<std::uint8_t>(bytes[bit / 8] | 0x80u >> bit % 8);
    return bytes;
}

// Multiply and fold: spreads addresses that differ in few bits over all of a table.
std::size_t mix(std::uint64_t a, std::uint64_t b) {
    std::uint64_t x = a ^ (b + 0x9e3779b97f4a7c15u + (a << 6) + (a >> 2));
    x ^= x >> 32;
    x *= 0xd6e8feb86659fd93u;
    x ^= x >> 32;
    return static_cast<std::size_t>(x);
}

} // namespace

Address Address::v4(std::span<const std::uint8_t, 4> bytes) {
    Address address;
    std::ranges::copy(mapped_prefix, address.bytes_.begin());
    std::ranges::copy(bytes, address.bytes_.begin() + mapped_prefix.size());
    return address;
}

Address Address::v6(std::span<const std::uint8_t, 16> bytes) {
    Address address;
    std::ranges::copy(bytes, address.bytes_.begin());
    return address;
}

std::optional<Address> Address::parse(std::string_view text) {
    // inet_pton() wants a terminated string, and would ignore everything after a zero byte.
    std::array<char, INET6_ADDRSTRLEN> buffer{};
    if (text.empty() || text.size() >= buffer.size() || text.find('\0') != std::string_view::npos)
        return std::nullopt;
    std::ranges::copy(text, buffer.begin());
    std::array<std::uint8_t, 4> v4_bytes{};
    if (::inet_pton(AF_INET, buffer.data(), v4_bytes.data()) == 1)
        return v4(v4_bytes);
    Bytes v6_bytes{};
    if (::inet_pton(AF_INET6, buffer.data(), v6_bytes.data()) == 1)
        return v6(v6_bytes);
    return std::nullopt;
}

bool Address::is_v4() const {
    return std::equal(mapped_prefix.begin(), mapped_prefix.end(), bytes_.begin());
}

// RFC 3927 and RFC 4291, 2.5.6.
bool Address::is_on_link_only() const {
    return is_v4() ? v4_bytes()[0] == 169 && v4_bytes()[1] == 254 : is_link_local();
}

bool Address::is_link_local() const {
    return bytes_[0] == 0xfe && (bytes_[1] & 0xc0) == 0x80; // fe80::/10, RFC 4291, 2.5.6
}

std::span<const std::uint8_t, 4> Address::v4_bytes() const {
    return std::span<const std::uint8_t, 16>(bytes_).last<4>();
}

std::string to_string(const Address& address) {
    std::array<char, INET6_ADDRSTRLEN> buffer{};
    const bool v4 = address.is_v4();
    const void* bytes = v4 ? static_cast<const void*>(address.v4_bytes().data())
                           : static_cast<const void*>(address.bytes().data());
    ::inet_ntop(v4 ? AF_INET : AF_INET6, bytes, buffer.data(), buffer.size());
    return buffer.data();
}

std::optional<Prefix> Prefix::parse(std::string_view text) {
    const auto slash = text.find('/');
    const auto address = Address::parse(text.substr(0, slash));
    if (!address)
        return std::nullopt;
    const unsigned most = address->is_v4() ? 32 : 128;
    unsigned length = most;
    if (slash != std::string_view::npos) {
        const auto given = number<unsigned>(text.substr(slash + 1));
        if (!given || *given > most)
            return std::nullopt;
        length = *given;
    }
    return of(*address, length);
}

std::optional<Prefix> Prefix::of(const Address& first, unsigned length) {
    if (length > (first.is_v4() ? 32u : 128u))
        return std::nullopt;
    const Prefix prefix(first, length);
    for (unsigned bit = prefix.mapped_length(); bit < 128; ++bit)
        if ((first.bytes()[bit / 8] & (0x80u >> bit % 8)) != 0)
            return std::nullopt;
    return prefix;
}

bool Prefix::contains(const Address& address) const {
    return address.is_v4() == is_v4() &&
           same_bits(address.bytes(), address_.bytes(), mapped_length());
}

bool Prefix::overlaps(const Prefix& other) const {
    return is_v4() == other.is_v4() && same_bits(address_.bytes(), other.address_.bytes(),
                                                 std::min(mapped_length(), other.mapped_length()));
}

Address Prefix::with_host_of(const Address& address) const {
    auto bytes = address_.bytes();
    for (unsigned bit = mapped_length(); bit < 128; ++bit)
        bytes[bit / 8] = static_cast<std::uint8_t>(bytes[bit / 8] |
                                                   (address.bytes()[bit / 8] & 0x80u >> bit % 8));
    return Address::v6(bytes);
}

Address Prefix::last() const {
    return Address::v6(with_host_bits(address_.bytes(), mapped_length()));
}

std::string to_string(const Prefix& prefix) {
    return fmt::format("{}/{}", to_string(prefix.first()), prefix.length());
}

std::vector<Prefix> without(const Prefix& range, const Prefix& hole) {
    if (!range.overlaps(hole))
        return {range};
    std::vector<Prefix> rest;
    // Halves the range again and again, and keeps the half that the hole is not in.
    for (auto around = range; around.length_ < hole.length_;) {
        const unsigned bit = around.mapped_length();
        auto bytes = around.address_.bytes();
        bytes[bit / 8] |= static_cast<std::uint8_t>(0x80 >> bit % 8);
        const Prefix lower(around.address_, around.length_ + 1);
        const Prefix upper(Address::v6(bytes), around.length_ + 1);
        const bool in_lower = lower.contains(hole.first());
        rest.push_back(in_lower ? upper : lower);
        around = in_lower ? lower : upper;
    }
    return rest;
}

std::vector<Prefix> without(std::vector<Prefix> ranges, std::span<const Prefix> holes) {
    for (const auto& hole : holes) {
        std::vector<Prefix> rest;
        for (const auto& range : ranges)
            std::ranges::move(without(range, hole), std::back_inserter(rest));
        ranges = std::move(rest);
    }
    return ranges;
}

bool contains(std::span<const Prefix> ranges, const Address& address) {
    return std::ranges::any_of(ranges,
                               [&](const Prefix& range) { return range.contains(address); });
}

std::optional<Endpoint> Endpoint::parse(std::string_view text) {
    const auto colon = text.rfind(':');
    if (colon == std::string_view::npos)
        return std::nullopt;
    auto host = text.substr(0, colon);
    const bool brackets = host.starts_with('[') && host.ends_with(']');
    if (brackets)
        host = host.substr(1, host.size() - 2);
    const bool has_colon = host.find(':') != std::string_view::npos;
    const auto address = Address::parse(host);
    const auto port = number<Port>(text.substr(colon + 1));
    if (!address || !port || brackets != has_colon)
        return std::nullopt;
    return Endpoint{*address, *port};
}

std::string to_string(const Endpoint& endpoint) {
    return endpoint.address.is_v4()
               ? fmt::format("{}:{}", to_string(endpoint.address), endpoint.port)
               : fmt::format("[{}]:{}", to_string(endpoint.address), endpoint.port);
}

} // namespace ubf

std::size_t std::hash<ubf::Address>::operator()(const ubf::Address& address) const noexcept {
    std::uint64_t high = 0;
    std::uint64_t low = 0;
    std::memcpy(&high, address.bytes().data(), 8);
    std::memcpy(&low, address.bytes().data() + 8, 8);
    return ubf::mix(high, low);
}
