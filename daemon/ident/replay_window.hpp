// The datagrams that came already, for as long as their time lets them be accepted. Bounded: under
// a flood the oldest are evicted, and a question that is replayed then is merely answered again.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <sodium.h>
#include <utility>
#include <vector>

namespace ubf::ident {

class ReplayWindow {
  public:
    // Remembers that many at least, and twice as many at most.
    explicit ReplayWindow(std::size_t most)
      : most_(most)
      , now_(slots())
      , before_(slots()) {
        crypto_shorthash_keygen(key_.data());
    }

    // True the first time. A fingerprint is a part of a MAC, which a holder of the key can choose.
    bool add(std::uint64_t fingerprint) {
        if (fingerprint == empty)
            fingerprint = ~empty;
        if (has(before_, fingerprint))
            return false;
        auto& slot = now_[find(now_, fingerprint)];
        if (slot == fingerprint)
            return false;
        slot = fingerprint;
        if (++count_ == most_) {
            std::swap(now_, before_);
            now_.assign(now_.size(), empty);
            count_ = 0;
        }
        return true;
    }

  private:
    using Table = std::vector<std::uint64_t>; // open addressing, half of it empty at least

    static constexpr std::uint64_t empty = 0;

    std::size_t slots() const { return std::bit_ceil(2 * most_); }

    // The slot that has it, or is free for it. Nobody knows which slots are near each other.
    std::size_t find(const Table& table, std::uint64_t fingerprint) const {
        std::uint64_t hash = 0;
        crypto_shorthash(reinterpret_cast<unsigned char*>(&hash),
                         reinterpret_cast<const unsigned char*>(&fingerprint), sizeof fingerprint,
                         key_.data());
        std::size_t slot = hash & (table.size() - 1);
        while (table[slot] != empty && table[slot] != fingerprint)
            slot = (slot + 1) & (table.size() - 1);
        return slot;
    }

    bool has(const Table& table, std::uint64_t fingerprint) const {
        return table[find(table, fingerprint)] == fingerprint;
    }

    static_assert(crypto_shorthash_BYTES == sizeof(std::uint64_t));

    const std::size_t most_;
    std::array<unsigned char, crypto_shorthash_KEYBYTES> key_{};
    Table now_;
    Table before_;
    std::size_t count_ = 0; // of now_
};

} // namespace ubf::ident
