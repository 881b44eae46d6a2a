#include "ident/wire.hpp"

#include "base/buffer.hpp"
#include "ident/contents.hpp"
#include "ident/entries.hpp"

#include <array>
#include <sodium.h>

namespace ubf::ident {
namespace {

constexpr std::uint16_t magic = 0x5542;
constexpr std::size_t header_size = 24;
constexpr std::size_t mac_size = 16;
constexpr std::size_t length_offset = 6;
constexpr std::size_t count_offset = 5;
constexpr std::uint64_t max_time = std::uint64_t{1} << 50; // so that no arithmetic on it overflows

// pushed: owners that an older ubfd sends unasked. They are refused.
enum class Kind : std::uint8_t {
    question = 1,
    answer = 2,
    gone = 3,
    gone_seen = 4,
    pushed = 5,
    refused = 6,
    inquiry = 7,
    decision = 8,
};

constexpr std::array kinds{Kind::question, Kind::answer,  Kind::gone,    Kind::gone_seen,
                           Kind::refused,  Kind::inquiry, Kind::decision};
static_assert(std::variant_size_v<Entries> == kinds.size());

static_assert(header_size + largest_answer + mac_size <= max_datagram);

using Mac = std::array<std::uint8_t, mac_size>;

Mac authenticate(std::span<const std::uint8_t> message, const Path& path, const Key& key) {
    const auto ends = ends_of(path);
    Mac mac;
    crypto_generichash_state state;
    crypto_generichash_init(&state, key.bytes().data(), key.bytes().size(), mac.size());
    crypto_generichash_update(&state, ends.data(), ends.size());
    crypto_generichash_update(&state, message.data(), message.size());
    crypto_generichash_final(&state, mac.data(), mac.size());
    return mac;
}

template<typename Entry>
std::optional<Entries> get_all(Reader& in, std::uint8_t count) {
    std::vector<Entry> entries;
    entries.reserve(count);
    for (std::uint8_t i = 0; i < count; ++i) {
        auto entry = get(in, static_cast<const Entry*>(nullptr));
        if (!entry)
            return std::nullopt;
        entries.push_back(std::move(*entry));
    }
    return in.good() ? std::optional<Entries>(std::move(entries)) : std::nullopt;
}

const Key* key_of(const KeyRing& keys, std::uint32_t id) {
    if (keys.current.id() == id)
        return &keys.current;
    if (keys.previous && keys.previous->id() == id)
        return &*keys.previous;
    return nullptr;
}

} // namespace

std::array<std::uint8_t, ends_size> ends_of(const Path& path) {
    std::array<std::uint8_t, ends_size> ends{};
    Writer writer(ends);
    writer.bytes(path.from.address.bytes());
    writer.bytes(path.to.address.bytes());
    writer.number(path.from.port);
    writer.number(path.to.port);
    return ends;
}

std::uint8_t kind_of(const Entries& entries) {
    return static_cast<std::uint8_t>(kinds[entries.index()]);
}

Written put_entries(std::span<std::uint8_t> out, const Entries& entries, std::size_t& first) {
    Written written;
    std::visit(
        [&](const auto& all) {
            for (; first < all.size() && written.count < UINT8_MAX; ++first, ++written.count) {
                Writer entry(out.subspan(written.bytes));
                put(entry, all[first]);
                if (!entry.good())
                    return;
                written.bytes += entry.written();
            }
        },
        entries);
    return written;
}

std::optional<Entries> get_entries(Reader& in, std::uint8_t kind, std::uint8_t count) {
    switch (Kind{kind}) {
    case Kind::question:
        return get_all<Question>(in, count);
    case Kind::answer:
        return get_all<Answer>(in, count);
    case Kind::gone:
        return get_all<Gone>(in, count);
    case Kind::gone_seen:
        return get_all<GoneSeen>(in, count);
    case Kind::refused:
        return get_all<Refused>(in, count);
    case Kind::inquiry:
        return get_all<Inquiry>(in, count);
    case Kind::decision:
        return get_all<Decision>(in, count);
    case Kind::pushed:
        break;
    }
    return std::nullopt;
}

std::string_view to_string(Rejection rejection) {
    switch (rejection) {
    case Rejection::malformed:
        return "malformed";
    case Rejection::foreign:
        return "foreign";
    case Rejection::other_version:
        return "other-version";
    case Rejection::no_certificate:
        return "no-certificate";
    case Rejection::wrong_key:
        return "wrong-key";
    case Rejection::late:
        return "late";
    case Rejection::repeated:
        return "repeated";
    case Rejection::unasked:
        return "unasked";
    case Rejection::not_theirs:
        return "not-theirs";
    case Rejection::count_:
        break;
    }
    return "?";
}

std::span<const std::uint8_t> encode(std::span<std::uint8_t> out, const Datagram& datagram,
                                     std::size_t& first, const Path& path, const Key& key) {
    Writer header(out.first(header_size));
    header.number(magic);
    header.number(version);
    header.number(static_cast<std::uint8_t>(datagram.to));
    header.number(kind_of(datagram.entries));
    header.number(std::uint8_t{0});
    header.number(std::uint16_t{0});
    header.number(key.id());
    header.number(static_cast<std::uint32_t>(datagram.from) << 24);
    header.number(static_cast<std::uint64_t>(datagram.time.count()));

    const auto entries = put_entries(
        out.subspan(header_size, max_datagram - mac_size - header_size), datagram.entries, first);
    const auto used = header_size + entries.bytes;
    const auto length = static_cast<std::uint16_t>(used + mac_size);
    out[count_offset] = entries.count;
    Writer(out.subspan(length_offset, 2)).number(length);
    const Mac mac = authenticate(out.first(used), path, key);
    std::ranges::copy(mac, out.begin() + static_cast<std::ptrdiff_t>(used));
    return out.first(length);
}

Result<Datagram, Rejection> decode(std::span<const std::uint8_t> bytes, const Path& path,
                                   const KeyRing& keys) {
    if (bytes.size() < header_size + mac_size || bytes.size() > max_datagram)
        return fail(Rejection::malformed);
    const auto message = bytes.first(bytes.size() - mac_size);
    Reader in(message);
    const bool ours = in.number<std::uint16_t>() == magic;
    const auto spoken = in.number<std::uint8_t>();
    Datagram datagram;
    datagram.to = Channel{in.number<std::uint8_t>()};
    const auto kind = in.number<std::uint8_t>();
    const auto count = in.number<std::uint8_t>();
    const auto length = in.number<std::uint16_t>();
    const auto key_id = in.number<std::uint32_t>();
    const auto from = in.number<std::uint32_t>();
    const auto time = in.number<std::uint64_t>();
    if (!ours || length != bytes.size())
        return fail(Rejection::malformed);

    datagram.from = Channel{static_cast<std::uint8_t>(from >> 24)};
    datagram.time = Milliseconds(static_cast<std::int64_t>(time));

    const Key* key = key_of(keys, key_id);
    if (key == nullptr)
        return fail(Rejection::wrong_key);
    const Mac mac = authenticate(message, path, *key);
    if (sodium_memcmp(mac.data(), bytes.last(mac_size).data(), mac_size) != 0)
        return fail(Rejection::wrong_key);

    // Header, key id and MAC are the same in all versions, so only a holder of the key can announce
    // another version.
    if (spoken != version)
        return fail(Rejection::other_version);
    if ((from & 0xffffff) != 0 || count == 0 || time > max_time)
        return fail(Rejection::malformed);
    if (Kind{kind} == Kind::pushed)
        return fail(Rejection::unasked);
    auto entries = get_entries(in, kind, count);
    if (!entries || !in.at_end())
        return fail(Rejection::malformed);
    datagram.entries = std::move(*entries);
    return datagram;
}

std::optional<std::uint8_t> spoken_version(std::span<const std::uint8_t> bytes) {
    Reader in(bytes);
    const auto begin = in.number<std::uint16_t>();
    const auto spoken = in.number<std::uint8_t>();
    return in.good() && begin == magic ? std::optional(spoken) : std::nullopt;
}

bool is_notice(std::span<const std::uint8_t> bytes) {
    return bytes.size() == header_size + mac_size && bytes[count_offset] == 0;
}

std::uint64_t fingerprint(std::span<const std::uint8_t> bytes) {
    return Reader(bytes.last(mac_size)).number<std::uint64_t>();
}

} // namespace ubf::ident
