#include "daemon/core/event_loop.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <sys/epoll.h>
#include <system_error>

namespace ubf {
namespace {

int timeout_ms(std::optional<TimePoint> until) {
    if (!until)
        return -1;
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(*until - Clock::now()).count();
    return static_cast<int>(std::clamp<decltype(left)>(left, 0, 60'000));
}

} // namespace

EventLoop::EventLoop()
  : epoll_(::epoll_create1(EPOLL_CLOEXEC)) {
    if (!epoll_)
        throw std::system_error(errno, std::generic_category(), "epoll_create1");
}

void EventLoop::watch(int fd, std::function<void()> readable, std::function<void()> writable) {
    const auto known = watches_.find(fd);
    const bool is_new = known == watches_.end();
    Watch watch{std::move(readable), std::move(writable),
                is_new ? std::function<void()>() : known->second.failed,
                is_new ? 0 : known->second.events};
    change(is_new ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, fd, watch, false);
    watches_[fd] = std::move(watch);
}

void EventLoop::watch_errors(int fd, std::function<void()> failed) {
    if (const auto known = watches_.find(fd); known != watches_.end()) {
        known->second.failed = std::move(failed);
        return;
    }
    Watch watch{{}, {}, std::move(failed), 0};
    change(EPOLL_CTL_ADD, fd, watch, false);
    watches_[fd] = std::move(watch);
}

void EventLoop::change(int operation, int fd, Watch& watch, bool paused) {
    epoll_event event{};
    if (!paused)
        event.events = (watch.readable ? EPOLLIN : 0u) | (watch.writable ? EPOLLOUT : 0u);
    if (operation == EPOLL_CTL_MOD && event.events == watch.events)
        return;
    event.data.fd = fd;
    if (::epoll_ctl(epoll_.get(), operation, fd, &event) < 0)
        throw std::system_error(errno, std::generic_category(), "epoll_ctl");
    watch.events = event.events;
}

void EventLoop::pause(int fd) {
    change(EPOLL_CTL_MOD, fd, watches_.at(fd), true);
}

void EventLoop::resume(int fd) {
    change(EPOLL_CTL_MOD, fd, watches_.at(fd), false);
}

void EventLoop::forget(int fd) {
    ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
    watches_.erase(fd);
}

void EventLoop::run_once(std::optional<TimePoint> until) {
    std::array<epoll_event, 16> events;
    const int count = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()),
                                   timeout_ms(until));
    for (int i = 0; i < count; ++i) {
        const auto& event = events[static_cast<std::size_t>(i)];
        // A callback may forget its own or another watch, so each is looked up and copied.
        if (const auto found = watches_.find(event.data.fd);
            found != watches_.end() && found->second.failed && (event.events & EPOLLERR) != 0) {
            const auto failed = found->second.failed;
            failed();
        }
        if (const auto found = watches_.find(event.data.fd);
            found != watches_.end() && found->second.readable &&
            (event.events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) {
            const auto readable = found->second.readable;
            readable();
        }
        if (const auto found = watches_.find(event.data.fd);
            found != watches_.end() && found->second.writable && (event.events & EPOLLOUT) != 0) {
            const auto writable = found->second.writable;
            writable();
        }
    }
}

} // namespace ubf
