// The kernel's side of the daemon's netlink and ident sockets. Wrapped system calls (wrap.cpp) come
// here instead of to the kernel. This class carries messages; the World decides what they say.
#pragma once

#include "ident/wire.hpp"
#include "recording.hpp"

#include <atomic>
#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <sys/epoll.h>
#include <sys/socket.h>

namespace ubf::budget {

class World {
  public:
    virtual ~World() = default;
    virtual Message find_socket(Bytes request) = 0;
    virtual void take_verdict(std::uint32_t id, std::uint32_t verdict, std::uint32_t mark) = 0;
    virtual void take_datagram(int fd, const ident::Path& path, Bytes bytes) = 0; // of ident
    virtual void take_log_line() = 0;
    // The worker is idle. Returns the timeout until the next look, as for epoll_wait. The call may
    // have delivered packets to the worker.
    virtual int pass_time() = 0;
};

struct Datagram {
    Message bytes;
    ident::Path path{}; // of ident
};

class Kernel {
  public:
    static Kernel& only(); // for the wrapped calls

    void play(World& world) { world_ = &world; }
    // Puts the datagram into the receive buffer of a socket.
    void deliver(int fd, Datagram datagram);
    int queue() const { return queue_; } // the socket that is bound to the queue

    // --- system calls ---

    bool is_ours(int fd) const;
    int socket(int domain, int protocol); // -1: not a socket of ours
    void send(int fd, Bytes bytes);       // to the bus
    void send(int fd, const msghdr& message);
    int receive(int fd, mmsghdr* messages, unsigned count);
    void write_log() { world_->take_log_line(); }
    void watch(int epoll, int fd); // the worker is whoever watches the queue
    bool is_workers(int epoll) const { return epoll == epoll_; }
    int wait(int epoll, epoll_event* events, int most);

  private:
    struct Socket {
        int bus; // the netlink bus
        std::deque<Datagram> waiting{};
    };

    Socket& at(int fd);
    void send(int fd, const nlmsghdr* message);
    static unsigned receive(msghdr& header, const Datagram& datagram);

    World* world_ = nullptr;
    mutable std::mutex mutex_; // guards only the map: each socket belongs to one thread
    std::map<int, Socket> sockets_;
    std::atomic<int> queue_{-1};
    std::atomic<int> epoll_{-1};
};

// For impossible cases: prints the reason, and ends the program.
[[noreturn]] void give_up(const std::string& why);

} // namespace ubf::budget
