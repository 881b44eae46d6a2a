// ident's datagrams: as they are, and behind a valid MAC, from an attacker who knows the key but
// not the format. The first two bytes give the kind of the entries and their number.
#include "fuzzer.hpp"
#include "ident/wire.hpp"

#include <algorithm>
#include <array>
#include <sodium.h>
#include <vector>

namespace {

using namespace ubf;
using namespace ubf::ident;

const Path path{*Endpoint::parse("10.0.0.2:1017"), *Endpoint::parse("10.0.0.1:1017")};
const KeyRing keys{Key(Key::Bytes{}), std::nullopt};

std::vector<std::uint8_t> sign(std::span<const std::uint8_t> input) {
    constexpr std::size_t header = 24;
    constexpr std::size_t mac = 16;
    const auto body = input.subspan(2, std::min(input.size() - 2, max_datagram - header - mac));
    std::vector<std::uint8_t> bytes{'U', 'B', version, 0, input[0], input[1], 0, 0};
    const auto length = header + body.size() + mac;
    bytes[6] = static_cast<std::uint8_t>(length >> 8);
    bytes[7] = static_cast<std::uint8_t>(length);
    for (int shift = 24; shift >= 0; shift -= 8)
        bytes.push_back(static_cast<std::uint8_t>(keys.current.id() >> shift));
    bytes.resize(header);
    bytes.insert(bytes.end(), body.begin(), body.end());
    std::array<std::uint8_t, 36> ends{};
    std::ranges::copy(path.from.address.bytes(), ends.begin());
    std::ranges::copy(path.to.address.bytes(), ends.begin() + 16);
    ends[32] = ends[34] = 1017 >> 8;
    ends[33] = ends[35] = 1017 & 0xff;
    crypto_generichash_state state;
    crypto_generichash_init(&state, keys.current.bytes().data(), Key::size, mac);
    crypto_generichash_update(&state, ends.data(), ends.size());
    crypto_generichash_update(&state, bytes.data(), bytes.size());
    bytes.resize(length);
    crypto_generichash_final(&state, bytes.data() + length - mac, mac);
    return bytes;
}

} // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    fuzz::require(!decode({data, size}, path, keys)); // guessing a MAC is hopeless
    if (size < 2)
        return 0;
    const auto decoded = decode(sign({data, size}), path, keys);
    if (!decoded) {
        fuzz::require(decoded.error() == Rejection::malformed ||
                      decoded.error() == Rejection::unasked); // an older ubfd told it ahead
        return 0;
    }
    // An accepted datagram, encoded again, is accepted again.
    std::array<std::uint8_t, max_datagram> out{};
    std::size_t first = 0;
    fuzz::require(decode(encode(out, *decoded, first, path, keys.current), path, keys).has_value());
    fuzz::require(first > 0);
    return 0;
}
