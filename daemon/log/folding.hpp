// Rate-limits the log of denials. If denials differ in the source port alone, only the first gets a
// line. Each user has a share of lines, so that a loop of refused connections takes no lines from
// other users. The other denials are counted, and logged later as a number. Pure memory, and little
// of it.
//
// A line is charged to an account (account.hpp). Users of many uids, and peers who name many users,
// have few accounts. Tries of closed ports are charged likewise, and are one line a minute.
#pragma once

#include "base/deadlines.hpp"
#include "daemon/log/account.hpp"
#include "daemon/log/denial.hpp"

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <tuple>
#include <vector>

namespace ubf {

class Folding {
  public:
    static constexpr std::size_t most = 8192; // lines at a time, of all
    static constexpr std::size_t share = 32;  // of one user; small_share, if half of `most` is used
    static constexpr std::size_t small_share = 2;
    static constexpr std::size_t most_users = 1000;  // with an account; and as many addresses
    static constexpr std::size_t most_doubtful = 64; // whom only a uid or a peer names, each
    static constexpr std::chrono::seconds scan_time{60};
    static constexpr std::size_t most_at_once = 512; // ends, in one due()

    // within: how long repeats are counted before their number is logged.
    explicit Folding(std::chrono::seconds within)
      : within_(within) {}

    enum class Taken : std::uint8_t {
        line,   // it gets a line; the denial is left to the caller
        repeat, // of one that has a line; kept until due()
        over,   // its user has used up the share; kept until due()
    };
    Taken add(Denial& denial, TimePoint now);

    // Denials that were only counted, and the last of them.
    struct Summary {
        Denial last;
        std::uint64_t count;
        std::chrono::seconds within;
        bool over; // of a user who had a share: the denials are not of one flow
    };
    // The summaries whose time is over, a bounded number at a time; or all.
    std::vector<Summary> due(TimePoint now, bool all = false);

  private:
    // Repeats differ in the source port alone; tries of closed ports in all but the account.
    using Key =
        std::tuple<Account, Protocol, Address, Endpoint, Uid, Uid, Reason, bool, bool, bool>;
    struct Line {
        Denial last{};
        std::uint64_t repeats = 0;
    };
    struct Charged {
        std::size_t lines = 0; // whose repeats are still counted
        std::uint64_t over = 0;
        Denial last{};
    };
    using Place = std::map<Key, Line>::iterator;

    bool has_room(const Account& account) const;
    void end(Place line, std::vector<Summary>& told);
    void end(const Account& account, std::vector<Summary>& told);
    void release(const Account& account);

    const std::chrono::seconds within_;
    std::map<Key, Line> lines_;
    std::map<Account, Charged> accounts_;
    std::array<std::size_t, Account::kinds> known_{}; // accounts of each kind
    Deadlines<Place, Times::in_order> ends_;
    Deadlines<Place, Times::in_order> scan_ends_;
    Deadlines<Account, Times::in_order> over_ends_;
};

} // namespace ubf
