// Takes the keys by which SYNs of proven peers are stamped and compared, and for which users their
// word counts: the kernel recognises connections by them (daemon/recognition). Any thread may call
// it.
#pragma once

#include "base/types.hpp"
#include "flow/address.hpp"
#include "identity/pair.hpp"

#include <array>

namespace ubf::ident {

class StampKeys {
  public:
    // The keys of two epochs: this one, and the nearest other.
    struct Epochs {
        std::array<identity::Epoch, 2> numbers;
        std::array<identity::Secret, 2> in;
        std::array<identity::Secret, 2> out;
    };
    struct Pair {
        identity::KeyId mine;
        identity::KeyId theirs;
        identity::Seconds until; // the peer's certificate is valid
        Epochs epochs;
    };

    StampKeys() = default;
    StampKeys(const StampKeys&) = delete;
    StampKeys& operator=(const StampKeys&) = delete;
    virtual ~StampKeys() = default;

    virtual void learn(const Address& address, const Pair& pair) = 0;
    // The word of the node at this address counts for the user.
    virtual void count_word(const Address& address, Uid uid, identity::Seconds until) = 0;
};

} // namespace ubf::ident
