#include "daemon/core/thread_watch.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <utility>

namespace ubf {
namespace {

auto seconds(Clock::duration time) {
    return std::chrono::duration_cast<std::chrono::seconds>(time);
}

} // namespace

std::string text_of_still(const Heartbeat& thread, TimePoint now) {
    const auto time = seconds(now - thread.last());
    if (thread.is_vital())
        return fmt::format("thread {} has not run for {} s; if it stays so, systemd's watchdog "
                           "restarts ubfd; if it happens again, report it together with this log",
                           thread.name(), time.count());
    return fmt::format(
        "thread {} has not run for {} s: it waits for {}; ubfd still judges connections; see that "
        "it answers",
        thread.name(), time.count(), thread.waits_for());
}

std::vector<ThreadWatch::News> ThreadWatch::look(TimePoint now) {
    std::vector<News> news;
    if (now - std::exchange(looked_, now) > Heartbeat::patience)
        return news;
    for (auto& [thread, still, last] : threads_) {
        const bool stands = thread->stands_still(now);
        if (stands == still)
            continue;
        still = stands;
        if (stands) {
            ++stalls_;
            last = thread->last();
            news.push_back({thread->is_vital(), text_of_still(*thread, now)});
        } else {
            news.push_back({false, fmt::format("thread {} goes on, after {} s", thread->name(),
                                               seconds(thread->last() - last).count())});
        }
    }
    return news;
}

bool ThreadWatch::all_vital_go_on() const {
    return std::ranges::none_of(threads_, [](const Watched& watched) {
        return watched.still && watched.thread->is_vital();
    });
}

std::vector<ThreadWatch::Still> ThreadWatch::still(TimePoint now) const {
    std::vector<Still> result;
    for (const auto& [thread, still, last] : threads_)
        if (still)
            result.push_back({thread, seconds(now - last)});
    return result;
}

} // namespace ubf
