// All ranks of a job on one node, for the tests of scale.
//
//   ranks serve PORT          accepts all connections, and keeps them
//   ranks connect [MOST]      connects as its standard input says, MOST at a time or all at once
//
// A line is "SOURCE DESTINATION PORT", with IPv4 addresses. After the line "go" it connects, and
// waits until all attempts have ended. Then it prints as JSON the number of each outcome, and the
// times of the successful ones. The connections stay open until the standard input ends.
#include "base/unique_fd.hpp"
#include "storm/socket.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <fmt/format.h>
#include <iostream>
#include <map>
#include <netinet/in.h>
#include <sstream>
#include <string>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <utility>
#include <vector>

namespace ubf::scale {
namespace {

using bench::Clock;
using bench::fail;
using bench::socket_address;
using bench::SocketAddress;
constexpr std::chrono::seconds patience{90}; // the kernel's patience is longer than a test

void allow_many_descriptors() {
    rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
}

void serve(std::uint16_t port) {
    const auto listener = bench::open_server(SOCK_STREAM, port);
    bench::say_ready();
    std::vector<UniqueFd> kept;
    while (true) {
        UniqueFd fd(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
        if (fd)
            kept.push_back(std::move(fd));
        else if (errno != ECONNABORTED && errno != EINTR)
            fail("accept");
    }
}

struct Wanted {
    SocketAddress from;
    SocketAddress to;
};

class Connects {
  public:
    Connects(std::vector<Wanted> wanted, std::size_t most)
      : wanted_(std::move(wanted))
      , most_(most)
      , fds_(wanted_.size())
      , begun_(wanted_.size()) {}

    void run() {
        started_ = Clock::now();
        while (ended_ < wanted_.size() && Clock::now() - started_ < patience) {
            while (next_ < wanted_.size() && next_ - ended_ < most_)
                begin(next_++);
            wait();
        }
        took_ = Clock::now() - started_;
        ends_["still on its way"] += wanted_.size() - ended_;
    }

    void print() {
        std::ranges::sort(times_);
        const auto quantile = [&](double part) {
            return times_.empty() ? 0.0
                                  : times_[static_cast<std::size_t>(
                                        part * static_cast<double>(times_.size() - 1))];
        };
        const auto late =
            std::ranges::count_if(times_, [](double seconds) { return seconds >= 1; });
        std::string ends;
        for (const auto& [how, count] : ends_)
            if (count > 0)
                ends += fmt::format("{}\"{}\": {}", ends.empty() ? "" : ", ", how, count);
        std::cout << fmt::format("{{\"ends\": {{{}}}, \"seconds\": {:.6f}, \"p50\": {:.6f}, "
                                 "\"p99\": {:.6f}, \"max\": {:.6f}, \"over_1s\": {}}}",
                                 ends, std::chrono::duration<double>(took_).count(), quantile(0.5),
                                 quantile(0.99), quantile(1), late)
                  << std::endl;
    }

  private:
    void begin(std::size_t i) {
        fds_[i] = UniqueFd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
        const int fd = fds_[i].get();
        if (fd < 0)
            fail("socket");
        const int yes = 1; // connect() chooses the port by both ends
        ::setsockopt(fd, SOL_IP, IP_BIND_ADDRESS_NO_PORT, &yes, sizeof yes);
        if (::bind(fd, wanted_[i].from.get(), wanted_[i].from.length) < 0)
            fail("bind");
        begun_[i] = Clock::now();
        if (::connect(fd, wanted_[i].to.get(), wanted_[i].to.length) == 0)
            return end(i, 0);
        if (errno != EINPROGRESS)
            return end(i, errno);
        epoll_event event{};
        event.events = EPOLLOUT;
        event.data.u64 = i;
        if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) < 0)
            fail("epoll_ctl");
    }

    void wait() {
        std::array<epoll_event, 256> events;
        const int count =
            ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), 100);
        for (int n = 0; n < count; ++n) {
            const auto i = static_cast<std::size_t>(events[static_cast<std::size_t>(n)].data.u64);
            const int fd = fds_[i].get();
            int error = 0;
            socklen_t size = sizeof error;
            ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
            SocketAddress peer;
            peer.length = sizeof peer.storage;
            if (error == 0 && ::getpeername(fd, peer.get(), &peer.length) < 0)
                continue; // the kernel has woken us before the error can be read
            ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
            end(i, error);
        }
    }

    void end(std::size_t i, int error) {
        ++ended_;
        ++ends_[error == 0 ? "connected" : ::strerrorname_np(error)];
        if (error == 0)
            times_.push_back(std::chrono::duration<double>(Clock::now() - begun_[i]).count());
        else
            fds_[i].reset();
    }

    const std::vector<Wanted> wanted_;
    const std::size_t most_;
    const UniqueFd epoll_{::epoll_create1(EPOLL_CLOEXEC)};
    std::vector<UniqueFd> fds_;
    std::vector<Clock::time_point> begun_;
    std::size_t next_ = 0;
    std::size_t ended_ = 0;
    std::map<std::string, std::size_t> ends_;
    std::vector<double> times_; // of the successful connections, in seconds
    Clock::time_point started_;
    Clock::duration took_{};
};

void connect(std::size_t most) {
    std::vector<Wanted> wanted;
    for (std::string line; std::getline(std::cin, line) && line != "go";) {
        std::istringstream words(line);
        std::string from, to;
        std::uint16_t port = 0;
        words >> from >> to >> port;
        wanted.push_back({socket_address(from, 0), socket_address(to, port)});
    }
    Connects connects(std::move(wanted), most);
    connects.run();
    connects.print();
    for (std::string line; std::getline(std::cin, line);)
        ;
}

} // namespace
} // namespace ubf::scale

int main(int argc, char** argv) {
    const std::vector<std::string> words(argv + 1, argv + argc);
    try {
        ubf::scale::allow_many_descriptors();
        if (words.size() == 2 && words[0] == "serve")
            ubf::scale::serve(static_cast<std::uint16_t>(std::stoul(words[1])));
        else if (!words.empty() && words.size() <= 2 && words[0] == "connect")
            ubf::scale::connect(words.size() == 2 ? std::stoul(words[1]) : ~std::size_t{0});
        else
            throw std::invalid_argument("ranks serve PORT | ranks connect [MOST]");
        return 0;
    } catch (const std::exception& error) {
        std::cerr << "ranks: " << error.what() << '\n';
        return 1;
    }
}
