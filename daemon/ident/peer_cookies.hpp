// A number for each peer that nobody else can guess. A peer that sends it back has received what
// was sent to its address: it is nobody who only writes that address on packets. Nothing is kept
// for a peer.
#pragma once

#include "daemon/core/event_loop.hpp"
#include "flow/address.hpp"
#include "ident/sealed.hpp"

#include <array>
#include <cstdint>
#include <sodium.h>

namespace ubf::ident {

class PeerCookies {
  public:
    PeerCookies();

    PeerCookie of(const Address& peer, TimePoint now) const;
    // Whether it is the peer's of this minute, or of the minute before.
    bool is_of(PeerCookie cookie, const Address& peer, TimePoint now) const;

  private:
    PeerCookie at(const Address& peer, std::int64_t minute) const;

    std::array<std::uint8_t, crypto_shorthash_KEYBYTES> key_{};
};

} // namespace ubf::ident
