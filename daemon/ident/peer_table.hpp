// The record of each peer's ubfd: how often it was asked, how fast it answers, whether it is
// silent. A peer is named by the address at which its ubfd is asked. Any thread may use it.
#pragma once

#include "base/guarded.hpp"
#include "daemon/core/event_loop.hpp"
#include "daemon/ident/bounded_peers.hpp"
#include "flow/address.hpp"

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
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
        std::chrono::milliseconds clock_ahead{}; // of ours, by its last answer
    };

    // A packet can name any address. A peer is proven by a datagram that only a holder of the key
    // can have sent from there, and is proven until a question goes without an answer.
    enum class Standing : std::uint8_t {
        unknown, // never asked, or not answered yet
        proven,
        doubtful, // one question timed out, or the peer was proven not long ago
        silent,   // a later question timed out as well: most likely no ubfd is there
    };
    // A proven ubfd may be away for so long: its restart takes seconds.
    static constexpr std::chrono::seconds patience{10};

    bool asked(const Address& address); // whether the peer is proven
    // ahead: how far the peer's clock is ahead of ours.
    void answered(const Address& address, std::chrono::nanoseconds took,
                  std::chrono::milliseconds ahead, TimePoint now);
    // An authentic and fresh datagram came that answers no open question. Returns whether the peer
    // had been silent.
    bool heard(const Address& address, TimePoint now);
    // The line for the log: each silent peer once a minute, if they are few.
    enum class Say : std::uint8_t {
        nothing,
        silent,   // this peer does not answer
        and_more, // more peers do not answer; they are not named for a minute
    };
    Say timed_out(const Address& address, TimePoint asked, TimePoint now);

    Standing standing(const Address& address, TimePoint now) const;
    // Whether a silent peer is worth a question: once a second.
    bool may_try(const Address& address, TimePoint now);
    // The peer's node refused a question (ICMP): nothing arrives at its ident port.
    void refused(const Address& address, TimePoint now);
    // Whether the peer refused since then, and was not there a moment ago. A refusal may be forged,
    // so it counts for nothing while the peer is proven.
    bool refuses(const Address& address, TimePoint since) const;
    // The peer's ubfd speaks this version of ident, which is not ours.
    void speaks(const Address& address, std::uint8_t version, TimePoint now);
    std::optional<std::uint8_t> other_version(const Address& address) const;
    // Whether to tell the peer our version now: once a second.
    bool may_tell_version(const Address& address, TimePoint now);
    // The peers to log for their version, each once an hour.
    std::vector<std::pair<Address, std::uint8_t>> take_other_versions(TimePoint now);
    // The offset in the peer's last answer, which nobody can replay: it repeats a nonce of ours.
    std::chrono::milliseconds clock_ahead(const Address& address) const;
    // The clock of a peer seems to be out of the window; for the log alone.
    void clock_seen(const Address& address, std::chrono::milliseconds ahead);
    // The peers to log for their clock, each once an hour.
    std::vector<std::pair<Address, std::chrono::milliseconds>> take_other_clocks(TimePoint now);
    // No peer counts as silent until then. Either we restarted, and do not know our predecessor's
    // peers, or answers are so slow that some must come too late.
    void forgive_until(TimePoint when);
    // The peers that were asked. Locks for a few at a time, so that no thread waits long.
    std::vector<Peer> list() const;

    static constexpr std::size_t most = 65536;

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

    // The version of ident that the peer speaks, which is not ours.
    struct OtherVersion {
        std::optional<std::uint8_t> spoken{};
        TimePoint heard{};
        TimePoint told{}; // ours, to the peer
        std::optional<TimePoint> logged{};
    };

    struct ClockOffset {
        std::chrono::milliseconds ahead{};
        std::optional<std::chrono::milliseconds> to_log{}; // out of the window
        std::optional<TimePoint> logged{};
    };

    struct State {
        std::uint64_t questions = 0;
        std::uint64_t answers = 0;
        std::uint64_t timeouts = 0;
        std::optional<TimePoint> silent_since{}; // if it is silent, as in Peer
        bool silent_again = false;               // a question that was asked since timed out too
        std::optional<TimePoint> proven_at{};    // the last time
        TimePoint tried{};                       // the last time while it is silent
        TimePoint refused_at{};
        OtherVersion version{};
        ClockOffset clock{};
        TimePoint logged{};
        std::unique_ptr<Histogram> times{}; // if it has answered
    };

    static void note_proof(State& peer, TimePoint now);
    std::vector<Address> addresses() const;

    static constexpr unsigned most_named = 20; // a minute

    struct Book {
        TimePoint named_since{};
        unsigned named = 0; // since then
        TimePoint forgiven_until{};
        bool versions_changed = false; // any, since the last take_other_versions()
        bool clocks_changed = false;
        BoundedPeers<State> peers{most};
    };
    Guarded<Book> book_;
};

// The `most` worst peers, the worst first: silent ones, then the slowest.
std::vector<PeerTable::Peer> worst(std::vector<PeerTable::Peer> peers, std::size_t most);

} // namespace ubf
