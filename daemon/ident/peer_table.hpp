// The record of each peer's ubfd: how often it was asked, how fast it answers, whether it is
// silent. A peer is named by the address at which its ubfd is asked. Any thread may use it.
#pragma once

#include "daemon/core/event_loop.hpp"
#include "daemon/ident/bounded_peers.hpp"
#include "flow/address.hpp"

#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
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
    };

    // A packet can name any address. A peer is proven by a datagram that only a holder of the key
    // can have sent from there, and is proven until a question goes without an answer.
    enum class Standing : std::uint8_t {
        unknown, // never asked, or not answered yet
        proven,
        doubtful, // a question went without an answer, and not long ago it was proven
        silent,   // it was not, and one asked after that did too: most likely no ubfd is there
    };
    // For so long a ubfd may be away that was there: its restart takes seconds.
    static constexpr std::chrono::seconds patience{10};

    bool asked(const Address& address); // whether it is proven
    // ahead: of our clock, the peer's.
    void answered(const Address& address, std::chrono::nanoseconds took,
                  std::chrono::milliseconds ahead = {});
    // A datagram other than an answer to an open question, authenticated and fresh. Whether the
    // last question had gone without an answer.
    bool heard(const Address& address);
    // Its line for the log: each silent peer once a minute, while these are few.
    enum class Say : std::uint8_t {
        nothing,
        silent,   // that this peer does not answer
        and_more, // that more of them don't, and won't be named for a minute
    };
    Say timed_out(const Address& address, TimePoint asked, TimePoint now);

    Standing standing(const Address& address, TimePoint now = Clock::now()) const;
    // Whether a silent peer is worth a question: once a second.
    bool may_try(const Address& address, TimePoint now);
    // Its node sends word that nothing arrives at its ident port.
    void refused(const Address& address, TimePoint now);
    // Whether it did since then, and is none that was there a moment ago. Anybody could have sent
    // that, so of one that is proven it counts for nothing.
    bool refuses(const Address& address, TimePoint since) const;
    // Its ubfd speaks this version of ident, which is not ours.
    void speaks(const Address& address, std::uint8_t version, TimePoint now);
    std::optional<std::uint8_t> other_version(const Address& address) const;
    // Whether it is time to let it know which is ours: once a second.
    bool may_tell_version(const Address& address, TimePoint now);
    // Those to be told in the log, each once an hour.
    std::vector<std::pair<Address, std::uint8_t>> take_other_versions(TimePoint now);
    // As its last answer had it: no datagram of another time can have been that.
    std::chrono::milliseconds clock_ahead(const Address& address) const;
    // The clock of a peer is out of the window, as it seems; for the log alone.
    void clock_seen(const Address& address, std::chrono::milliseconds ahead);
    // Those to be told in the log, each once an hour.
    std::vector<std::pair<Address, std::chrono::milliseconds>> take_other_clocks(TimePoint now);
    // Until then nobody counts as silent: we came back, and whom a ubfd before us knew we don't; or
    // answers take so long that some must come too late.
    void forgive_until(TimePoint when);
    // Those that were asked. Takes a few at a time, so that nobody waits for it.
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

    struct State {
        std::uint64_t questions = 0;
        std::uint64_t answers = 0;
        std::uint64_t timeouts = 0;
        std::optional<TimePoint> silent_since{}; // if it is, as Peer has it
        bool silent_again = false;               // and was asked since, in vain
        std::optional<TimePoint> proven_at{};    // the last time
        TimePoint tried{};                       // since it is silent
        TimePoint refused_at{};
        std::optional<std::uint8_t> version{}; // not ours
        std::chrono::milliseconds clock_ahead{};
        std::optional<std::chrono::milliseconds> other_clock{};
        std::optional<TimePoint> clock_logged{};
        TimePoint version_heard{};
        TimePoint version_told{}; // to it
        std::optional<TimePoint> version_logged{};
        TimePoint logged{};
        std::unique_ptr<Histogram> times{}; // of who has answered
    };

    static void note_proof(State& peer);
    std::vector<Address> addresses() const;

    static constexpr unsigned most_named = 20; // a minute

    mutable std::mutex mutex_;
    TimePoint named_since_{};
    unsigned named_ = 0; // since then
    TimePoint forgiven_until_{};
    bool versions_changed_ = false; // one of them, since they were taken
    bool clocks_changed_ = false;
    BoundedPeers<State> peers_{most};
};

// The `most` that are worst, the worst first: silent ones, then those that take longest.
std::vector<PeerTable::Peer> worst(std::vector<PeerTable::Peer> peers, std::size_t most);

} // namespace ubf
