#include "identity/certificate.hpp"

#include <algorithm>
#include <array>
#include <tuple>

namespace ubf::identity {
namespace {

constexpr std::uint32_t magic = 0x55424301; // "UBC", version 1
constexpr std::uint8_t may_grant = 1;
constexpr std::size_t length_offset = 4;

std::span<const std::uint8_t> significant(const Prefix& prefix) {
    if (prefix.is_v4())
        return prefix.first().v4_bytes();
    return prefix.first().bytes();
}

bool before(const Prefix& a, const Prefix& b) {
    return std::tuple(a.first(), a.length()) < std::tuple(b.first(), b.length());
}

std::optional<Prefix> get_prefix(Reader& in) {
    const auto length = in.number<std::uint8_t>();
    const auto family = in.number<std::uint8_t>();
    if (family != 4 && family != 6)
        return std::nullopt;
    const auto bytes = in.take(family == 4 ? 4 : 16);
    if (!in.good())
        return std::nullopt;
    const auto address =
        family == 4 ? Address::v4(bytes.first<4>()) : Address::v6(bytes.first<16>());
    if (address.is_v4() != (family == 4)) // an IPv4 address has one form
        return std::nullopt;
    return Prefix::of(address, length);
}

} // namespace

std::optional<unsigned> Certificate::length_at(const Address& address) const {
    std::optional<unsigned> longest;
    for (const auto& prefix : addresses)
        if (prefix.contains(address))
            longest = std::max(longest.value_or(0), prefix.length());
    return longest;
}

bool is_name(std::string_view text, std::size_t most) {
    return !text.empty() && text.size() <= most && std::ranges::all_of(text, [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
    });
}

std::vector<Prefix> in_order(std::vector<Prefix> prefixes) {
    std::ranges::sort(prefixes, before);
    prefixes.erase(std::unique(prefixes.begin(), prefixes.end()), prefixes.end());
    return prefixes;
}

void put(Writer& out, std::span<const Prefix> prefixes) {
    out.number(static_cast<std::uint8_t>(prefixes.size()));
    for (const auto& prefix : prefixes) {
        out.number(static_cast<std::uint8_t>(prefix.length()));
        out.number(std::uint8_t{prefix.is_v4() ? std::uint8_t{4} : std::uint8_t{6}});
        out.bytes(significant(prefix));
    }
}

std::optional<std::vector<Prefix>> get_prefixes(Reader& in) {
    const auto count = in.number<std::uint8_t>();
    if (count == 0 || count > max_prefixes)
        return std::nullopt;
    std::vector<Prefix> prefixes;
    prefixes.reserve(count);
    for (std::uint8_t i = 0; i < count; ++i) {
        const auto prefix = get_prefix(in);
        if (!prefix || (!prefixes.empty() && !before(prefixes.back(), *prefix)))
            return std::nullopt;
        prefixes.push_back(*prefix);
    }
    return prefixes;
}

void put_text(Writer& out, std::string_view text) {
    out.number(static_cast<std::uint8_t>(text.size()));
    out.bytes({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
}

KeyBytes get_key(Reader& in) {
    KeyBytes key{};
    std::ranges::copy(in.take(key.size()), key.begin());
    return key;
}

std::optional<std::string> get_name(Reader& in, std::size_t most) {
    const auto bytes = in.take(in.number<std::uint8_t>());
    const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return in.good() && is_name(text, most) ? std::optional(std::string(text)) : std::nullopt;
}

std::optional<Validity> validity_of(std::uint64_t from, std::uint64_t until) {
    if (from >= until || until >> 40 != 0)
        return std::nullopt;
    return Validity{Seconds(static_cast<std::int64_t>(from)),
                    Seconds(static_cast<std::int64_t>(until))};
}

bool fits_format(const Validity& validity) {
    return validity.from.count() >= 0 && validity.until.count() >= 0 &&
           validity_of(static_cast<std::uint64_t>(validity.from.count()),
                       static_cast<std::uint64_t>(validity.until.count()))
               .has_value();
}

std::optional<std::vector<std::uint8_t>> sign(const Certificate& certificate,
                                              const SigningKey& authority) {
    const auto& c = certificate;
    if (!is_name(c.name, max_name) || !is_name(c.node_class, max_class) || c.addresses.empty() ||
        c.addresses.size() > max_prefixes || in_order(c.addresses) != c.addresses ||
        !fits_format(c.valid))
        return std::nullopt;
    std::vector<std::uint8_t> bytes(max_certificate);
    Writer out(bytes);
    out.number(magic);
    out.number(std::uint16_t{0});
    out.number(c.grants ? may_grant : std::uint8_t{0});
    out.number(std::uint8_t{0});
    out.number(static_cast<std::uint32_t>(id_of(authority.verify_key())));
    out.number(static_cast<std::uint64_t>(c.serial));
    out.number(static_cast<std::uint64_t>(c.valid.from.count()));
    out.number(static_cast<std::uint64_t>(c.valid.until.count()));
    out.bytes(c.key.bytes);
    if (c.grants)
        out.bytes(c.grants->bytes);
    put_text(out, c.name);
    put_text(out, c.node_class);
    put(out, std::span(c.addresses));
    const auto signed_part = out.written();
    Writer(std::span(bytes).subspan(length_offset))
        .number(static_cast<std::uint16_t>(signed_part + signature_size));
    out.bytes(authority.sign(std::span(bytes).first(signed_part)));
    bytes.resize(out.written());
    return bytes;
}

Result<Certificate, Fault> parse_certificate(Bytes bytes) {
    if (bytes.size() < signature_size || bytes.size() > max_certificate)
        return fail(Fault::malformed);
    Reader in(bytes.first(bytes.size() - signature_size));
    const auto begin = in.number<std::uint32_t>();
    const auto length = in.number<std::uint16_t>();
    const auto flags = in.number<std::uint8_t>();
    const auto zero = in.number<std::uint8_t>();
    Certificate certificate;
    certificate.authority = AuthorityId{in.number<std::uint32_t>()};
    certificate.serial = Serial{in.number<std::uint64_t>()};
    const auto from = in.number<std::uint64_t>();
    const auto valid = validity_of(from, in.number<std::uint64_t>());
    certificate.key = {get_key(in)};
    if (flags == may_grant)
        certificate.grants = VerifyKey{get_key(in)};
    auto name = get_name(in, max_name);
    auto node_class = get_name(in, max_class);
    auto addresses = get_prefixes(in);
    if (!in.at_end() || begin != magic || length != bytes.size() || flags > may_grant ||
        zero != 0 || !valid || !name || !node_class || !addresses)
        return fail(Fault::malformed);
    certificate.valid = *valid;
    certificate.name = std::move(*name);
    certificate.node_class = std::move(*node_class);
    certificate.addresses = std::move(*addresses);
    return certificate;
}

Result<Certificate, Fault> check_certificate(Bytes bytes, const Authorities& authorities) {
    auto certificate = parse_certificate(bytes);
    if (!certificate)
        return certificate;
    const auto* authority = find(authorities, certificate->authority);
    if (authority == nullptr)
        return fail(Fault::other_authority);
    if (!is_signed_by(*authority, bytes.first(bytes.size() - signature_size),
                      bytes.last(signature_size)))
        return fail(Fault::forged);
    return certificate;
}

} // namespace ubf::identity
