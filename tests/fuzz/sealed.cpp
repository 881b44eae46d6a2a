// Sealed datagrams and introductions. A fuzzer can't seal, so the text behind the header is sealed
// here.
#include "ident/sealed.hpp"
#include "fuzzer.hpp"

#include <algorithm>
#include <array>

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace ubf;
    const std::span bytes(data, size);
    if (const auto introduction = ident::introduction_of(bytes))
        static_cast<void>(identity::parse_certificate(introduction->certificate));
    constexpr std::size_t stated = 24;
    constexpr std::size_t begin = stated + identity::nonce_size;
    std::array<std::uint8_t, ident::max_datagram> room{};
    if (size < begin || size + identity::tag_size > room.size())
        return 0;
    std::ranges::copy(bytes, room.begin());
    const auto length = size + identity::tag_size;
    room[6] = static_cast<std::uint8_t>(length >> 8);
    room[7] = static_cast<std::uint8_t>(length);
    const std::span sealed(room.data(), length);
    const identity::Secret key{identity::KeyBytes{}};
    identity::SealNonce nonce;
    std::ranges::copy(bytes.subspan(stated, nonce.size()), nonce.begin());
    std::array<std::uint8_t, 36 + stated> beside{}; // of a path without addresses
    std::ranges::copy(sealed.first(stated), beside.begin() + 36);
    identity::seal(sealed.subspan(begin), bytes.subspan(begin), beside, nonce, key);
    if (ident::envelope_of(sealed))
        fuzz::require(ident::open(sealed, {}, key) ||
                      ident::open(sealed, {}, key).error() != ident::Rejection::wrong_key);
    return 0;
}
