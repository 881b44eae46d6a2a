// Room for what peers have sent, while other threads work on it. No peer takes more than its share,
// so a flood of one keeps no other out. Any thread may use it.
#pragma once

#include "base/guarded.hpp"
#include "flow/address.hpp"

#include <cstddef>
#include <memory>
#include <unordered_map>

namespace ubf {

class PeerShares {
    struct Book {
        std::size_t taken = 0;
        std::unordered_map<Address, std::size_t> by{};
    };
    using Shared = std::shared_ptr<Guarded<Book>>;

  public:
    // Gives the room back when its last holder is gone.
    class Held {
      public:
        Held(Shared book, const Address& peer, std::size_t count)
          : book_(std::move(book))
          , peer_(peer)
          , count_(count) {}
        Held(const Held&) = delete;
        Held& operator=(const Held&) = delete;
        ~Held() {
            const auto book = book_->lock();
            book->taken -= count_;
            const auto found = book->by.find(peer_);
            if ((found->second -= count_) == 0)
                book->by.erase(found);
        }

      private:
        Shared book_;
        Address peer_;
        std::size_t count_;
    };
    using Room = std::shared_ptr<const Held>;

    PeerShares(std::size_t most, std::size_t most_of_one)
      : most_(most)
      , most_of_one_(most_of_one) {}

    // nullptr if there is no room. As much again is kept for peers that have nothing taken.
    Room take(const Address& peer, std::size_t count) {
        {
            const auto book = book_->lock();
            const auto found = book->by.find(peer);
            const bool is_first = found == book->by.end();
            if ((is_first ? 0 : found->second) + count > most_of_one_ ||
                book->taken + count > (is_first ? 2 * most_ : most_))
                return nullptr;
            book->by[peer] += count;
            book->taken += count;
        }
        return std::make_shared<const Held>(book_, peer, count);
    }

  private:
    const std::size_t most_;
    const std::size_t most_of_one_;
    Shared book_ = std::make_shared<Guarded<Book>>();
};

} // namespace ubf
