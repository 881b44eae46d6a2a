// The exempt TCP listeners that the kernel lets in by itself, with their places. They are only
// remembered here: ExemptListeners tells the kernel.
#pragma once

#include "base/deadlines.hpp"
#include "nft/verdict_sets.hpp"
#include "owner/lookup.hpp"

#include <atomic>
#include <chrono>
#include <cstddef>
#include <optional>
#include <set>
#include <unordered_map>
#include <utility>

namespace ubf {

class ExemptPlaces {
  public:
    // How long the kernel lets connections to a place begin: should a notice get lost, no longer.
    static constexpr std::chrono::seconds in_kernel{60};
    // A place is remembered for longer, so that its end is never missed while the kernel has it.
    static constexpr std::chrono::seconds in_memory{61};

    bool has(const nft::ListenerKey& place, Cookie cookie) const;
    // With those whose listener ended before their time: whoever adds bounds it.
    std::size_t held() const { return expiries_.size(); }
    // now: before the kernel was told.
    void add(const nft::ListenerKey& place, Cookie cookie, Uid holder, TimePoint now);
    void erase_expired(TimePoint now);

    struct Ended {
        Uid holder{};
        std::set<nft::ListenerKey> places{}; // the kernel is to forget them
        // Another listener has one of these endpoints on another interface. In the kernel, both
        // share the guard of their answers, so neither can be forgotten by itself.
        bool shared = false;
    };
    // The listener with this cookie ended; nothing if it has no place.
    std::optional<Ended> end(Cookie cookie);
    void clear();

    bool empty() const { return listeners_.empty(); }
    std::size_t size() const { return size_; } // of places; any thread may ask

  private:
    bool has(const Endpoint& endpoint) const;

    struct Listener {
        Uid holder{};
        std::set<nft::ListenerKey> places{};
    };
    std::unordered_map<Cookie, Listener> listeners_;
    Deadlines<std::pair<Cookie, nft::ListenerKey>, Times::in_order> expiries_;
    std::atomic<std::size_t> size_{0};
};

} // namespace ubf
