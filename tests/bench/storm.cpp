// A storm of new flows, and what each of them cost: the two ends of a measurement.
//
//   storm serve tcp|udp PORT [keep]           accepts and closes (or keeps); answers each datagram
//   storm connect tcp|udp ADDRESS PORT COUNT CONCURRENCY
//                                             COUNT new flows, CONCURRENCY at a time; one JSON line
//   storm hold ADDRESS PORT COUNT             COUNT connections, established and idle
//   storm flood ADDRESS PORT MILLISECONDS     UDP from many ports, as fast as it goes; one JSON
//   line
//
// `serve` and `hold` print "ready" when they are, and run until they are killed. A flow's time is
// that from connect() to the connection or the refusal; of UDP, from the first datagram to its
// answer.
#include "base/unique_fd.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstring>
#include <fmt/format.h>
#include <iostream>
#include <map>
#include <netinet/in.h>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <system_error>
#include <unistd.h>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;
using ubf::UniqueFd;

constexpr std::chrono::seconds patience{30}; // for the whole storm, after its last progress

[[noreturn]] void fail(const char* what) {
    throw std::system_error(errno, std::generic_category(), what);
}

template<typename T>
T number(std::string_view text) {
    T result{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), result);
    if (error != std::errc{} || end != text.data() + text.size())
        throw std::invalid_argument(fmt::format("'{}' is not a number that fits here", text));
    return result;
}

struct SocketAddress {
    sockaddr_storage storage{};
    socklen_t length = 0;

    const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

SocketAddress socket_address(const std::string& address, std::uint16_t port) {
    SocketAddress result;
    sockaddr_in v4{};
    sockaddr_in6 v6{};
    if (::inet_pton(AF_INET, address.c_str(), &v4.sin_addr) == 1) {
        v4.sin_family = AF_INET;
        v4.sin_port = htons(port);
        std::memcpy(&result.storage, &v4, sizeof v4);
        result.length = sizeof v4;
    } else if (::inet_pton(AF_INET6, address.c_str(), &v6.sin6_addr) == 1) {
        v6.sin6_family = AF_INET6;
        v6.sin6_port = htons(port);
        std::memcpy(&result.storage, &v6, sizeof v6);
        result.length = sizeof v6;
    } else {
        throw std::invalid_argument(fmt::format("'{}' is not an address", address));
    }
    return result;
}

int socket_type(std::string_view protocol) {
    if (protocol == "tcp")
        return SOCK_STREAM;
    if (protocol == "udp")
        return SOCK_DGRAM;
    throw std::invalid_argument(fmt::format("'{}' is neither tcp nor udp", protocol));
}

void say_ready() {
    std::cout << "ready" << std::endl;
}

void raise_descriptor_limit() {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) < 0)
        fail("getrlimit");
    limit.rlim_cur = limit.rlim_max;
    if (::setrlimit(RLIMIT_NOFILE, &limit) < 0)
        fail("setrlimit");
}

// No TIME_WAIT, so that a storm never runs out of ports.
void close_at_once(UniqueFd& fd) {
    const linger hard{1, 0};
    ::setsockopt(fd.get(), SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    fd.reset();
}

// --- the server ---

UniqueFd open_server(int type, std::uint16_t port) {
    UniqueFd fd(::socket(AF_INET6, type | SOCK_CLOEXEC, 0)); // dual-stack
    if (!fd)
        fail("socket");
    const int on = 1;
    ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    const auto any = socket_address("::", port);
    if (::bind(fd.get(), any.get(), any.length) < 0)
        fail("bind");
    return fd;
}

[[noreturn]] void serve_tcp(std::uint16_t port, bool keep) {
    const auto server = open_server(SOCK_STREAM, port);
    if (::listen(server.get(), SOMAXCONN) < 0)
        fail("listen");
    say_ready();
    std::vector<UniqueFd> kept;
    while (true) {
        UniqueFd fd(::accept4(server.get(), nullptr, nullptr, SOCK_CLOEXEC));
        if (!fd && errno != ECONNABORTED && errno != EINTR)
            fail("accept");
        if (fd && keep)
            kept.push_back(std::move(fd));
    }
}

[[noreturn]] void serve_udp(std::uint16_t port) {
    const auto server = open_server(SOCK_DGRAM, port);
    say_ready();
    std::array<char, 64> buffer;
    while (true) {
        SocketAddress from;
        from.length = sizeof from.storage;
        const auto length = ::recvfrom(server.get(), buffer.data(), buffer.size(), 0,
                                       reinterpret_cast<sockaddr*>(&from.storage), &from.length);
        if (length >= 0) // an answer that can't be sent is one that the client waits for in vain
            ::sendto(server.get(), buffer.data(), static_cast<std::size_t>(length), 0, from.get(),
                     from.length);
    }
}

// --- the client ---

class Storm {
  public:
    Storm(int type, const SocketAddress& to, std::size_t count, std::size_t concurrency)
      : type_(type)
      , to_(to)
      , count_(count)
      , slots_(std::min(concurrency, count)) {
        if (!epoll_)
            fail("epoll_create1");
        microseconds_.reserve(count);
    }

    void run() {
        const auto begin = Clock::now();
        for (std::size_t i = 0; i < slots_.size(); ++i)
            begin_flow(i);
        std::array<epoll_event, 256> events;
        while (finished_ < count_) {
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

    void print() {
        std::ranges::sort(microseconds_);
        std::string errors;
        for (const auto& [error, times] : errors_)
            errors += fmt::format("{}\"{}\":{}", errors.empty() ? "" : ",",
                                  ::strerrorname_np(error), times);
        std::cout
            << fmt::format(
                   "{{\"count\":{},\"concurrency\":{},\"seconds\":{:.6f},\"per_second\":{:.1f},"
                   "\"p50_us\":{:.1f},\"p99_us\":{:.1f},\"connected\":{},\"lost\":{},"
                   "\"errors\":{{{}}}}}",
                   count_, slots_.size(), seconds_, static_cast<double>(finished_) / seconds_,
                   quantile(0.50), quantile(0.99), connected_, count_ - finished_, errors)
            << std::endl;
    }

  private:
    struct Slot {
        UniqueFd fd;
        Clock::time_point begin;
    };

    void begin_flow(std::size_t index) {
        // A flow that ends within its own connect() makes room for the next at once.
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

    void proceed(std::size_t index) {
        auto& slot = slots_[index];
        int error = 0;
        if (type_ == SOCK_STREAM) {
            socklen_t length = sizeof error;
            if (::getsockopt(slot.fd.get(), SOL_SOCKET, SO_ERROR, &error, &length) < 0)
                fail("getsockopt");
            // A refusal wakes us a moment before its error can be read: not connected, no error.
            SocketAddress peer;
            peer.length = sizeof peer.storage;
            if (error == 0 &&
                ::getpeername(slot.fd.get(), reinterpret_cast<sockaddr*>(&peer.storage),
                              &peer.length) < 0)
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

    void finish(Slot& slot, int error) {
        const std::chrono::duration<double, std::micro> took = Clock::now() - slot.begin;
        microseconds_.push_back(took.count());
        ++finished_;
        if (error == 0)
            ++connected_;
        else
            ++errors_[error];
        close_at_once(slot.fd);
    }

    double quantile(double q) const {
        if (microseconds_.empty())
            return 0;
        const auto last = static_cast<double>(microseconds_.size() - 1);
        return microseconds_[static_cast<std::size_t>(q * last + 0.5)];
    }

    const int type_;
    const SocketAddress to_;
    const std::size_t count_;
    UniqueFd epoll_{::epoll_create1(EPOLL_CLOEXEC)};
    std::vector<Slot> slots_;
    std::size_t begun_ = 0;
    std::size_t finished_ = 0;
    std::size_t connected_ = 0;
    std::map<int, std::size_t> errors_;
    std::vector<double> microseconds_;
    double seconds_ = 0;
};

[[noreturn]] void hold(const SocketAddress& to, std::size_t count) {
    std::vector<UniqueFd> held;
    while (held.size() < count) {
        UniqueFd fd(::socket(to.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
        if (!fd || ::connect(fd.get(), to.get(), to.length) < 0)
            fail("connect");
        held.push_back(std::move(fd));
    }
    say_ready();
    while (true)
        ::pause();
}

// Refusals that come back are for the next send() to complain of, and don't matter.
std::size_t flood(const SocketAddress& to, std::chrono::milliseconds duration) {
    constexpr std::size_t sockets = 64;
    constexpr std::size_t burst = 16;
    std::vector<UniqueFd> sources;
    for (std::size_t i = 0; i < sockets; ++i) {
        sources.emplace_back(::socket(to.storage.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0));
        if (!sources.back())
            fail("socket");
    }
    char byte = 'x';
    iovec part{&byte, 1};
    std::array<mmsghdr, burst> messages{};
    auto address = to;
    for (auto& message : messages) {
        message.msg_hdr.msg_name = &address.storage;
        message.msg_hdr.msg_namelen = to.length;
        message.msg_hdr.msg_iov = &part;
        message.msg_hdr.msg_iovlen = 1;
    }
    std::size_t sent = 0;
    const auto end = Clock::now() + duration;
    while (Clock::now() < end)
        for (const auto& source : sources)
            if (const int now = ::sendmmsg(source.get(), messages.data(), burst, MSG_DONTWAIT);
                now > 0)
                sent += static_cast<std::size_t>(now);
    return sent;
}

int run(std::span<const std::string> words) {
    raise_descriptor_limit();
    if (words.size() >= 3 && words.size() <= 4 && words[0] == "serve") {
        const auto port = number<std::uint16_t>(words[2]);
        if (socket_type(words[1]) == SOCK_DGRAM)
            serve_udp(port);
        serve_tcp(port, words.size() == 4 && words[3] == "keep");
    }
    if (words.size() == 6 && words[0] == "connect") {
        Storm storm(socket_type(words[1]),
                    socket_address(words[2], number<std::uint16_t>(words[3])),
                    number<std::size_t>(words[4]), number<std::size_t>(words[5]));
        storm.run();
        storm.print();
        return 0;
    }
    if (words.size() == 4 && words[0] == "hold")
        hold(socket_address(words[1], number<std::uint16_t>(words[2])),
             number<std::size_t>(words[3]));
    if (words.size() == 4 && words[0] == "flood") {
        const auto sent = flood(socket_address(words[1], number<std::uint16_t>(words[2])),
                                std::chrono::milliseconds(number<unsigned>(words[3])));
        std::cout << fmt::format("{{\"sent\":{}}}", sent) << std::endl;
        return 0;
    }
    throw std::invalid_argument(
        "storm serve tcp|udp PORT [keep] | connect tcp|udp ADDRESS PORT COUNT "
        "CONCURRENCY | hold ADDRESS PORT COUNT | flood ADDRESS PORT MILLISECONDS");
}

} // namespace

int main(int argc, char** argv) {
    try {
        const std::vector<std::string> words(argv + 1, argv + argc);
        return run(words);
    } catch (const std::exception& error) {
        std::cerr << "storm: " << error.what() << '\n';
        return 1;
    }
}
