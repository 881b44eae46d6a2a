// The log: journald with its native fields where there is a journal, plain text on stderr
// otherwise. Written on a thread of its own, so that a journal that stands still holds up nobody:
// what finds no room is counted as lost. Denials that repeat are folded into one line with a count.
#pragma once

#include "config/config.hpp"
#include "daemon/core/counters.hpp"
#include "daemon/log/denial.hpp"
#include "daemon/owners/user_cache.hpp"

#include <chrono>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <tuple>
#include <variant>
#include <vector>

namespace ubf {

class Log {
  public:
    Log(const Config::Log& config, UserCache& users, Counters& counters);
    ~Log(); // writes what waits

    void info(std::string text);
    void warning(std::string text);
    void error(std::string text);
    void denial(Denial denial);

  private:
    using Time = std::chrono::system_clock::time_point;
    // With the journal's names; the text is what a person reads.
    struct Line {
        int priority; // of syslog(3)
        std::string text;
        std::vector<std::string> fields;
    };
    struct Item {
        Time time;
        std::variant<Line, Denial> what;
    };
    // Repeats differ in the source port alone.
    using Key = std::tuple<Protocol, Address, Endpoint, Uid, Uid, Reason, bool>;
    struct Fold {
        Denial last;
        TimePoint since;
        std::uint64_t repeats = 0;
    };

    void put(Item item);
    void run();
    void handle(const Item& item);
    void fold(const Denial& denial, Time time);
    void unfold(TimePoint now, bool all);
    void write(const Denial& denial, Time time, std::uint64_t repeats);
    void write(const Line& line, Time time);

    static constexpr std::size_t most_items = 8192;
    static constexpr std::size_t most_folds = 256;

    const bool to_journal_;
    const std::chrono::seconds fold_;
    UserCache& users_;
    Counters& counters_;

    std::map<Key, Fold> folds_; // of the thread alone
    std::uint64_t unlisted_ = 0;
    TimePoint unlisted_since_{};

    std::mutex mutex_;
    std::condition_variable wanted_;
    std::deque<Item> items_;
    bool stopping_ = false;
    std::thread thread_;
};

} // namespace ubf
