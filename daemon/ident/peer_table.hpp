// What is known of each peer's ubfd: how often it was asked, how fast it answers, whether it is
// silent. A peer is named by the address at which its ubfd is asked. Any thread may use it.
#pragma once

#include "daemon/core/event_loop.hpp"
#include "daemon/ident/bounded_peers.hpp"
#include "flow/address.hpp"

#include <array>
#include <cstdint>
#include <mutex>
#include <optional>
#include <vector>

namespace ubf {

class PeerTable {
  public:
    struct Peer {
        Address address;
        std::uint64_t questions = 0;
        std::uint64_t answers = 0;
        std::uint64_t timeouts = 0;
        bool silent = false; // the last question went without an answer
        std::chrono::microseconds p50{};
        std::chrono::microseconds p99{};
    };

    // A packet can name any address. A peer is proven by a datagram that only a holder of the key
    // can have sent from there, and is proven until a question goes without an answer.
    enum class Standing : std::uint8_t {
        unknown, // never asked, or not answered yet
        proven,
        doubtful, // a question went without an answer, and not long ago it was proven
        silent,   // the same, and it was not: most likely no ubfd is there
    };
    // For so long a ubfd may be away that was there: its restart takes seconds.
    static constexpr std::chrono::seconds patience{10};

    void asked(const Address& address);
    void answered(const Address& address, std::chrono::nanoseconds took);
    // A datagram other than an answer, authenticated and fresh.
    void heard(const Address& address);
    // Its line for the log: each silent peer once a minute, while these are few.
    enum class Say : std::uint8_t {
        nothing,
        silent,   // that this peer does not answer
        and_more, // that more of them don't, and won't be named for a minute
    };
    Say timed_out(const Address& address, TimePoint now);

    Standing standing(const Address& address, TimePoint now = Clock::now()) const;
    // Whether a silent peer is worth a question: once a second.
    bool may_try(const Address& address, TimePoint now);
    // Its node sends word that nothing arrives at its ident port.
    void refused(const Address& address, TimePoint now);
    // Whether it did since then, and is none that was there a moment ago. Anybody could have sent
    // that, so of one that is proven it counts for nothing.
    bool refuses(const Address& address, TimePoint since) const;
    // Until then nobody counts as silent: we came back, and whom a ubfd before us knew we don't.
    void forgive_until(TimePoint when);
    std::vector<Peer> list() const; // those that were asked

    static constexpr std::size_t most = 16384;

  private:
    // Answer times by powers of two, four steps each: 1 µs to 1 s within 19 %.
    class Histogram {
      public:
        void add(std::chrono::nanoseconds took);
        std::chrono::microseconds quantile(double part) const;

      private:
        static constexpr std::size_t steps = 4;
        std::array<std::uint32_t, 21 * steps> counts_{};
        std::uint64_t total_ = 0;
    };

    struct State {
        std::uint64_t questions = 0;
        std::uint64_t answers = 0;
        std::uint64_t timeouts = 0;
        bool silent = false;                  // as Peer has it
        std::optional<TimePoint> proven_at{}; // the last time
        TimePoint tried{};                    // since it is silent
        TimePoint refused_at{};
        TimePoint logged{};
        Histogram times;
    };

    static constexpr unsigned most_named = 20; // a minute

    mutable std::mutex mutex_;
    TimePoint named_since_{};
    unsigned named_ = 0; // since then
    TimePoint forgiven_until_{};
    BoundedPeers<State> peers_{most};
};

} // namespace ubf
