#include "daemon/ident/peer_cookies.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <tuple>

namespace ubf::ident {
namespace {

std::int64_t minute_of(TimePoint now) {
    return std::chrono::duration_cast<std::chrono::minutes>(now.time_since_epoch()).count();
}

} // namespace

PeerCookies::PeerCookies() {
    crypto_shorthash_keygen(key_.data());
}

// SipHash-2-4, whose output nobody can foretell without the key.
PeerCookie PeerCookies::at(const Address& peer, std::int64_t minute) const {
    std::array<std::uint8_t, std::tuple_size_v<Address::Bytes> + sizeof minute> input{};
    std::ranges::copy(peer.bytes(), input.begin());
    std::memcpy(input.data() + peer.bytes().size(), &minute, sizeof minute);
    std::array<std::uint8_t, crypto_shorthash_BYTES> hash{};
    crypto_shorthash(hash.data(), input.data(), input.size(), key_.data());
    std::uint32_t number = 0;
    std::memcpy(&number, hash.data(), sizeof number);
    return PeerCookie{number};
}

PeerCookie PeerCookies::of(const Address& peer, TimePoint now) const {
    return at(peer, minute_of(now));
}

bool PeerCookies::is_of(PeerCookie cookie, const Address& peer, TimePoint now) const {
    return cookie != PeerCookie{} &&
           (cookie == of(peer, now) || cookie == at(peer, minute_of(now) - 1));
}

} // namespace ubf::ident
