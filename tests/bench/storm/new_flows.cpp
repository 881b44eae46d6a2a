#include "new_flows.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fmt/format.h>
#include <iostream>
#include <sys/epoll.h>

namespace ubf::bench {
namespace {

constexpr std::chrono::seconds patience{30}; // for the whole storm, after its last progress

} // namespace

NewFlows::NewFlows(int type, const SocketAddress& to, std::size_t count, std::size_t concurrency)
  : type_(type)
  , to_(to)
  , count_(count)
  , epoll_(::epoll_create1(EPOLL_CLOEXEC))
  , slots_(std::min(concurrency, count)) {
    if (!epoll_)
        fail("epoll_create1");
}

void NewFlows::run() {
    const auto begin = Clock::now();
    for (std::size_t i = 0; i < slots_.size(); ++i)
        begin_flow(i);
    std::array<epoll_event, 256> events;
    while (times_.size() < count_) {
        const int ready = ::epoll_wait(epoll_.get(), events.data(), events.size(),
                                       std::chrono::milliseconds(patience).count());
        if (ready < 0 && errno != EINTR)
            fail("epoll_wait");
        if (ready == 0)
            break;
        for (int i = 0; i < ready; ++i)
            proceed(events[static_cast<std::size_t>(i)].data.u64);
    }
    seconds_ = std::chrono::duration<double>(Clock::now() - begin).count();
}

void NewFlows::print() {
    std::string errors;
    for (const auto& [error, times] : errors_)
        errors +=
            fmt::format("{}\"{}\":{}", errors.empty() ? "" : ",", ::strerrorname_np(error), times);
    std::cout << fmt::format(
                     "{{\"count\":{},\"concurrency\":{},\"seconds\":{:.6f},\"per_second\":{:.1f},"
                     "\"p50_us\":{:.1f},\"p99_us\":{:.1f},\"connected\":{},\"lost\":{},"
                     "\"errors\":{{{}}}}}",
                     count_, slots_.size(), seconds_, static_cast<double>(times_.size()) / seconds_,
                     times_.quantile(0.50), times_.quantile(0.99), connected_,
                     count_ - times_.size(), errors)
              << std::endl;
}

void NewFlows::begin_flow(std::size_t index) {
    // A flow that ends within its own connect() frees its slot at once.
    while (begun_ < count_) {
        auto& slot = slots_[index];
        slot.fd =
            UniqueFd(::socket(to_.storage.ss_family, type_ | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
        if (!slot.fd)
            fail("socket");
        ++begun_;
        slot.begin = Clock::now();
        int error = ::connect(slot.fd.get(), to_.get(), to_.length) < 0 ? errno : 0;
        if (type_ == SOCK_DGRAM && error == 0)
            error = ::send(slot.fd.get(), "?", 1, 0) < 0 ? errno : EINPROGRESS;
        if (error == EINPROGRESS) {
            epoll_event event{};
            event.events = type_ == SOCK_STREAM ? EPOLLOUT : EPOLLIN;
            event.data.u64 = index;
            if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, slot.fd.get(), &event) < 0)
                fail("epoll_ctl");
            return;
        }
        finish(slot, error);
    }
}

void NewFlows::proceed(std::size_t index) {
    auto& slot = slots_[index];
    int error = 0;
    if (type_ == SOCK_STREAM) {
        socklen_t length = sizeof error;
        if (::getsockopt(slot.fd.get(), SOL_SOCKET, SO_ERROR, &error, &length) < 0)
            fail("getsockopt");
        // A refusal wakes us a moment before its error can be read: then there is neither a peer
        // nor an error.
        SocketAddress peer;
        peer.length = sizeof peer.storage;
        if (error == 0 && ::getpeername(slot.fd.get(), peer.get(), &peer.length) < 0)
            return;
    } else {
        char answer = 0;
        if (::recv(slot.fd.get(), &answer, 1, 0) < 0)
            error = errno;
        if (error == EAGAIN)
            return;
    }
    finish(slot, error);
    begin_flow(index);
}

void NewFlows::finish(Slot& slot, int error) {
    times_.add(Clock::now() - slot.begin);
    if (error == 0)
        ++connected_;
    else
        ++errors_[error];
    set_hard_close(slot.fd);
    slot.fd.reset();
}

} // namespace ubf::bench
