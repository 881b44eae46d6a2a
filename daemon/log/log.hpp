// The log: journald with its native fields where there is a journal, plain text on stderr
// otherwise. A thread of its own writes, so that a blocked journal blocks no other thread. If the
// queue is full, a line is counted as lost. Repeated denials are folded into one line with a count,
// and each user has a share of lines (folding.hpp).
#pragma once

#include "base/guarded.hpp"
#include "config/config.hpp"
#include "daemon/core/counters.hpp"
#include "daemon/core/heartbeat.hpp"
#include "daemon/log/denial.hpp"
#include "daemon/log/folding.hpp"
#include "daemon/log/refusals.hpp"
#include "daemon/log/reporter.hpp"
#include "daemon/owners/user_cache.hpp"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <string>
#include <thread>
#include <variant>
#include <vector>

namespace ubf {

class Log final : public Reporter {
  public:
    Log(const Config::Log& config, UserCache& users, LogCounters& counters);
    ~Log() override; // writes the queue

    void info(std::string text);
    void warning(std::string text) override;
    void error(std::string text);
    void denial(Denial denial) override;

    Refusals& refusals() { return refusals_; }
    const Refusals& refusals() const { return refusals_; }
    const Heartbeat& heartbeat() const { return heartbeat_; }
    // From now on, logs if the thread of this heartbeat stands still. That thread watches all
    // others. nullptr: stop watching.
    void watch(const Heartbeat* watcher) { watcher_ = watcher; }

  private:
    using Time = std::chrono::system_clock::time_point;
    // The text is for people, the fields are the journal's.
    struct Line {
        int priority; // of syslog(3)
        std::string text;
        std::vector<std::string> fields;
    };
    struct Item {
        Time time;
        std::variant<Line, Denial> what;
    };

    struct Queued {
        Folding folding;
        std::deque<Item> items{};
        bool stopping = false;
    };

    void put(Queued& queued, Item item, std::size_t most);
    void put(int priority, std::string text);
    void run();
    void look_at_watcher(TimePoint now);
    void write(const Item& item);
    void write(const Folding::Summary& summary);
    Line line_of(const Denial& denial, std::uint64_t count, std::string_view counted);
    void write(const Line& line, Time time);

    static constexpr std::size_t most_items = 8192;
    static constexpr std::size_t most_denials = 7168; // of these; the rest is for other messages

    const bool to_journal_;
    const std::string help_url_;
    UserCache& users_;
    Refusals refusals_;
    LogCounters& counters_;

    std::condition_variable wanted_;
    Guarded<Queued> queued_;
    std::atomic<const Heartbeat*> watcher_{nullptr};
    bool watcher_still_ = false;
    TimePoint patient_until_{}; // for names
    Heartbeat heartbeat_{"log", "the journal, or whoever reads its standard error"};
    std::thread thread_;
};

} // namespace ubf
