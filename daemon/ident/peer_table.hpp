// What is known of each peer's ubfd: how often it was asked, how fast it answers, whether it is
// silent. A peer is named by the address at which its ubfd is asked. Any thread may use it.
#pragma once

#include "daemon/core/event_loop.hpp"
#include "daemon/ident/bounded_peers.hpp"
#include "flow/address.hpp"

#include <array>
#include <cstdint>
#include <mutex>
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
    enum class Standing : std::uint8_t { unknown, proven, silent };

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

    Standing standing(const Address& address) const;
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
        bool silent = false; // as Peer has it
        TimePoint logged{};
        Histogram times;
    };

    static constexpr unsigned most_named = 20; // a minute

    mutable std::mutex mutex_;
    TimePoint named_since_{};
    unsigned named_ = 0; // since then
    BoundedPeers<State> peers_{most};
};

} // namespace ubf
