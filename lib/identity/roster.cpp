#include "identity/roster.hpp"

#include <algorithm>
#include <functional>

namespace ubf::identity {
namespace {

constexpr std::uint32_t magic = 0x55425201; // "UBR", version 1
constexpr std::size_t header_size = 32;

Address first_of(const Address& address, unsigned length) {
    auto bytes = address.bytes();
    const unsigned mapped = address.is_v4() ? length + 96 : length;
    for (unsigned bit = mapped; bit < 128; ++bit)
        bytes[bit / 8] = static_cast<std::uint8_t>(bytes[bit / 8] & ~(0x80u >> bit % 8));
    return Address::v6(bytes);
}

std::optional<std::vector<Serial>> get_serials(Reader& in, std::uint32_t count) {
    std::vector<Serial> serials;
    serials.reserve(count);
    for (std::uint32_t i = 0; i < count && in.good(); ++i) {
        const auto serial = Serial{in.number<std::uint64_t>()};
        if (!serials.empty() && serial <= serials.back())
            return std::nullopt;
        serials.push_back(serial);
    }
    return in.good() ? std::optional(std::move(serials)) : std::nullopt;
}

// Each certificate begins with its magic and its length.
std::optional<Certificate> get_certificate(Reader& in) {
    constexpr std::size_t begin = 6;
    auto peek = in;
    static_cast<void>(peek.number<std::uint32_t>());
    const auto length = peek.number<std::uint16_t>();
    if (!peek.good() || length < begin)
        return std::nullopt;
    const auto bytes = in.take(length);
    if (!in.good())
        return std::nullopt;
    auto certificate = parse_certificate(bytes);
    return certificate ? std::optional(std::move(*certificate)) : std::nullopt;
}

} // namespace

std::size_t Roster::Hash::operator()(const std::pair<Address, unsigned>& prefix) const noexcept {
    return std::hash<Address>()(prefix.first) ^ (prefix.second * 0x9e3779b97f4a7c15u);
}

Result<Roster, Fault> Roster::read(Bytes bytes, const Authorities& authorities,
                                   const Roster* before) {
    if (bytes.size() < header_size + signature_size || bytes.size() > max_roster)
        return fail(Fault::malformed);
    const auto message = bytes.first(bytes.size() - signature_size);
    Reader in(message);
    const auto begin = in.number<std::uint32_t>();
    const auto id = AuthorityId{in.number<std::uint32_t>()};
    Roster roster;
    roster.number_ = in.number<std::uint64_t>();
    const auto signed_at = in.number<std::uint64_t>();
    const auto count = in.number<std::uint32_t>();
    const auto revoked = in.number<std::uint32_t>();
    if (begin != magic || count > max_listed || revoked > max_listed || signed_at >> 40 != 0)
        return fail(Fault::malformed);
    const auto* authority = identity::find(authorities, id);
    if (authority == nullptr)
        return fail(Fault::other_authority);
    if (!is_signed_by(*authority, message, bytes.last(signature_size)))
        return fail(Fault::forged);
    roster.authority_ = id;
    roster.signed_at_ = Seconds(static_cast<std::int64_t>(signed_at));
    auto serials = get_serials(in, revoked);
    if (!serials)
        return fail(Fault::malformed);
    roster.revoked_ = std::move(*serials);
    roster.certificates_.reserve(count);
    std::optional<Serial> last;
    for (std::uint32_t i = 0; i < count; ++i) {
        auto certificate = get_certificate(in);
        if (!certificate || (last && certificate->serial <= *last))
            return fail(Fault::malformed);
        last = certificate->serial;
        if (identity::find(authorities, certificate->authority) != nullptr)
            roster.certificates_.push_back(std::move(*certificate));
    }
    if (!in.at_end())
        return fail(Fault::malformed);
    if (before != nullptr && roster.is_older_than(*before))
        return fail(Fault::older);
    roster.index();
    return roster;
}

void Roster::index() {
    for (std::uint32_t i = 0; i < certificates_.size(); ++i) {
        if (is_revoked(certificates_[i].serial))
            continue;
        for (const auto& prefix : certificates_[i].addresses) {
            by_prefix_.emplace(std::pair(prefix.first(), prefix.length()), i);
            lengths_.emplace_back(prefix.is_v4(), prefix.length());
        }
    }
    std::ranges::sort(lengths_, std::greater<>());
    lengths_.erase(std::unique(lengths_.begin(), lengths_.end()), lengths_.end());
    lengths_.shrink_to_fit();
}

bool Roster::is_revoked(Serial serial) const {
    return std::ranges::binary_search(revoked_, serial);
}

std::vector<const Certificate*> Roster::at(const Address& address) const {
    std::vector<const Certificate*> found;
    const bool v4 = address.is_v4();
    for (const auto& [of_v4, length] : lengths_) {
        if (of_v4 != v4)
            continue;
        const auto [first, last] = by_prefix_.equal_range({first_of(address, length), length});
        for (auto entry = first; entry != last; ++entry)
            found.push_back(&certificates_[entry->second]);
        if (!found.empty())
            break;
    }
    return found;
}

const Certificate* Roster::find(Serial serial) const {
    const auto found = std::ranges::lower_bound(certificates_, serial, {}, &Certificate::serial);
    if (found == certificates_.end() || found->serial != serial || is_revoked(serial))
        return nullptr;
    return &*found;
}

std::optional<std::vector<std::uint8_t>>
sign_roster(std::uint64_t number, Seconds now,
            std::span<const std::vector<std::uint8_t>> certificates, std::vector<Serial> revoked,
            const SigningKey& authority) {
    std::ranges::sort(revoked);
    revoked.erase(std::unique(revoked.begin(), revoked.end()), revoked.end());
    if (certificates.size() > max_listed || revoked.size() > max_listed || now.count() < 0)
        return std::nullopt;
    std::vector<std::pair<Serial, const std::vector<std::uint8_t>*>> order;
    std::size_t size = header_size + revoked.size() * 8 + signature_size;
    for (const auto& certificate : certificates) {
        const auto parsed = parse_certificate(certificate);
        if (!parsed)
            return std::nullopt;
        order.emplace_back(parsed->serial, &certificate);
        size += certificate.size();
    }
    std::ranges::sort(order);
    const auto same = [](const auto& a, const auto& b) { return a.first == b.first; };
    if (std::ranges::adjacent_find(order, same) != order.end() || size > max_roster)
        return std::nullopt;
    std::vector<std::uint8_t> bytes(size);
    Writer out(bytes);
    out.number(magic);
    out.number(static_cast<std::uint32_t>(id_of(authority.verify_key())));
    out.number(number);
    out.number(static_cast<std::uint64_t>(now.count()));
    out.number(static_cast<std::uint32_t>(order.size()));
    out.number(static_cast<std::uint32_t>(revoked.size()));
    for (const auto serial : revoked)
        out.number(static_cast<std::uint64_t>(serial));
    for (const auto& [serial, certificate] : order)
        out.bytes(*certificate);
    out.bytes(authority.sign(std::span(bytes).first(out.written())));
    return bytes;
}

} // namespace ubf::identity
