#include "ident/sealed.hpp"

#include "ident/contents.hpp"
#include "ident/entries.hpp"

#include <algorithm>
#include <array>

namespace ubf::ident {
namespace {

constexpr std::uint16_t magic = 0x5553;
constexpr std::uint8_t introduction = 9;
constexpr std::size_t stated_size = 24; // in clear, and authenticated
constexpr std::size_t begin_of_seal = stated_size + identity::nonce_size;
constexpr std::size_t version_offset = 2;
constexpr std::size_t kind_offset = 4;
constexpr std::size_t count_offset = 5;
constexpr std::size_t length_offset = 6;
constexpr std::size_t receiver_offset = 12; // in an introduction: the cookie that is sent back
constexpr std::uint64_t max_time = std::uint64_t{1} << 50;

static_assert(begin_of_seal + 1 + largest_answer + identity::tag_size <= max_datagram);
static_assert(stated_size + identity::max_certificate <= max_datagram);

constexpr std::uint8_t with_grants = 0x80; // of the source channel

using Beside = std::array<std::uint8_t, ends_size + stated_size>;

Beside beside_of(const Path& path, std::span<const std::uint8_t> bytes) {
    Beside beside{};
    const auto ends = ends_of(path);
    std::ranges::copy(ends, beside.begin());
    std::ranges::copy(bytes.first(stated_size), beside.begin() + ends.size());
    return beside;
}

void put_header(std::span<std::uint8_t> out, Channel to, std::uint8_t kind, std::uint8_t count,
                std::size_t length, const Envelope& envelope) {
    Writer header(out.first(stated_size));
    header.number(magic);
    header.number(version);
    header.number(static_cast<std::uint8_t>(to));
    header.number(kind);
    header.number(count);
    header.number(static_cast<std::uint16_t>(length));
    header.number(static_cast<std::uint32_t>(envelope.sender));
    header.number(static_cast<std::uint32_t>(envelope.receiver));
    header.number(static_cast<std::uint64_t>(envelope.time.count()));
}

bool fits(std::span<const std::uint8_t> bytes, std::size_t least) {
    if (bytes.size() < least || bytes.size() > max_datagram || !is_sealed(bytes))
        return false;
    return Reader(bytes.subspan(length_offset)).number<std::uint16_t>() == bytes.size();
}

} // namespace

bool is_sealed(std::span<const std::uint8_t> bytes) {
    return Reader(bytes).number<std::uint16_t>() == magic;
}

std::optional<Envelope> envelope_of(std::span<const std::uint8_t> bytes) {
    if (!fits(bytes, begin_of_seal + 1 + identity::tag_size) || bytes[kind_offset] == introduction)
        return std::nullopt;
    Reader in(bytes.subspan(8));
    Envelope envelope;
    envelope.sender = identity::KeyId{in.number<std::uint32_t>()};
    envelope.receiver = identity::KeyId{in.number<std::uint32_t>()};
    const auto time = in.number<std::uint64_t>();
    if (time > max_time)
        return std::nullopt;
    envelope.time = Milliseconds(static_cast<std::int64_t>(time));
    return envelope;
}

std::span<const std::uint8_t> seal(std::span<std::uint8_t> out, const Datagram& datagram,
                                   std::size_t& first, const Path& path, const Envelope& envelope,
                                   const identity::SealNonce& nonce, const identity::Secret& key,
                                   const Grants& grants) {
    const auto room = out.first(max_datagram - identity::tag_size).subspan(begin_of_seal);
    room[0] = static_cast<std::uint8_t>(datagram.from);
    const auto entries = put_entries(room.subspan(1), datagram.entries, first);
    auto used = 1 + entries.bytes;
    for (const auto& grant : grants) {
        Writer out_grant(room.subspan(used));
        out_grant.number(static_cast<std::uint8_t>(grant.size()));
        out_grant.bytes(grant);
        if (!out_grant.good() || grant.size() > UINT8_MAX)
            break;
        used += out_grant.written();
        room[0] |= with_grants;
    }
    const auto text = room.first(used);
    const auto length = begin_of_seal + text.size() + identity::tag_size;
    put_header(out, datagram.to, kind_of(datagram.entries), entries.count, length, envelope);
    std::ranges::copy(nonce, out.begin() + stated_size);
    identity::seal(out.subspan(begin_of_seal), text, beside_of(path, out), nonce, key);
    return out.first(length);
}

namespace {

std::optional<Grants> get_grants(Reader& in) {
    Grants grants;
    while (in.good() && !in.at_end()) {
        const auto bytes = in.take(in.number<std::uint8_t>());
        grants.emplace_back(bytes.begin(), bytes.end());
    }
    return in.good() ? std::optional(std::move(grants)) : std::nullopt;
}

} // namespace

Result<Opened, Rejection> open(std::span<const std::uint8_t> bytes, const Path& path,
                               const identity::Secret& key) {
    std::array<std::uint8_t, max_datagram> room;
    identity::SealNonce nonce;
    std::ranges::copy(bytes.subspan(stated_size, nonce.size()), nonce.begin());
    const auto sealed = bytes.subspan(begin_of_seal);
    const auto text = std::span(room).first(sealed.size() - identity::tag_size);
    if (!identity::open(text, sealed, beside_of(path, bytes), nonce, key))
        return fail(Rejection::wrong_key);
    if (bytes[version_offset] != version)
        return fail(Rejection::other_version);
    Reader in(text);
    Opened opened;
    auto& datagram = opened.datagram;
    datagram.sealed = true;
    datagram.to = Channel{bytes[3]};
    const auto from = in.number<std::uint8_t>();
    datagram.from = Channel{static_cast<std::uint8_t>(from & ~with_grants)};
    datagram.time = Milliseconds(Reader(bytes.subspan(16)).number<std::int64_t>());
    if (bytes[count_offset] == 0 && in.at_end())
        return opened;
    auto entries = get_entries(in, bytes[kind_offset], bytes[count_offset]);
    if (!entries || bytes[count_offset] == 0 || in.at_end() != ((from & with_grants) == 0))
        return fail(Rejection::malformed);
    auto grants = get_grants(in);
    if (!grants)
        return fail(Rejection::malformed);
    datagram.entries = std::move(*entries);
    opened.grants = std::move(*grants);
    return opened;
}

std::span<const std::uint8_t> introduce(std::span<std::uint8_t> out, const Introduction& own,
                                        identity::KeyId key) {
    const auto length = stated_size + own.certificate.size();
    const Envelope envelope{key, identity::KeyId{static_cast<std::uint32_t>(own.sent_back)},
                            Milliseconds{static_cast<std::uint32_t>(own.own)}};
    put_header(out, Channel::service, introduction, own.asks ? 1 : 0, length, envelope);
    std::ranges::copy(own.certificate, out.begin() + stated_size);
    return out.first(length);
}

std::optional<Introduction> introduction_of(std::span<const std::uint8_t> bytes) {
    if (!fits(bytes, stated_size + 1) || bytes[kind_offset] != introduction ||
        bytes[count_offset] > 1)
        return std::nullopt;
    Reader cookies(bytes.subspan(receiver_offset));
    const PeerCookie sent_back{cookies.number<std::uint32_t>()};
    const PeerCookie own{static_cast<std::uint32_t>(cookies.number<std::uint64_t>())};
    return Introduction{bytes.subspan(stated_size), bytes[count_offset] == 1, own, sent_back};
}

} // namespace ubf::ident
