#include "wrap.hpp"

#include "clock.hpp"
#include "counting.hpp"
#include "kernel.hpp"

#include <chrono>
#include <random>
#include <string_view>
#include <unistd.h>

using ubf::budget::Aside;
using ubf::budget::Kernel;

namespace {

Kernel& kernel() {
    return Kernel::only();
}

template<typename Clock>
typename Clock::time_point time_of() {
    ubf::budget::count_clock_read();
    return typename Clock::time_point(
        std::chrono::duration_cast<typename Clock::duration>(ubf::budget::Time::now()));
}

} // namespace

extern "C" {

int __real_socket(int domain, int type, int protocol);
int __wrap_socket(int domain, int type, int protocol) {
    const Aside aside;
    const int fd = kernel().socket(domain, protocol);
    return fd < 0 ? __real_socket(domain, type, protocol) : fd;
}

int __real_bind(int fd, const sockaddr* address, socklen_t size);
int __wrap_bind(int fd, const sockaddr* address, socklen_t size) {
    const Aside aside;
    return kernel().is_ours(fd) ? 0 : __real_bind(fd, address, size);
}

int __real_setsockopt(int fd, int level, int option, const void* value, socklen_t size);
int __wrap_setsockopt(int fd, int level, int option, const void* value, socklen_t size) {
    const Aside aside;
    return kernel().is_ours(fd) ? 0 : __real_setsockopt(fd, level, option, value, size);
}

ssize_t __wrap_sendto(int fd, const void* bytes, size_t size, int, const sockaddr*, socklen_t) {
    const Aside aside;
    kernel().send(fd, {static_cast<const std::uint8_t*>(bytes), size});
    return static_cast<ssize_t>(size);
}

ssize_t __wrap_sendmsg(int fd, const msghdr* message, int) {
    const Aside aside;
    kernel().send(fd, *message);
    return static_cast<ssize_t>(message->msg_iov[0].iov_len);
}

int __wrap_recvmmsg(int fd, mmsghdr* messages, unsigned count, int, timespec*) {
    const Aside aside;
    return kernel().receive(fd, messages, count);
}

ssize_t __wrap_recvmsg(int fd, msghdr* message, int) {
    const Aside aside;
    mmsghdr one{*message, 0};
    const int count = kernel().receive(fd, &one, 1);
    *message = one.msg_hdr;
    return count < 0 ? count : static_cast<ssize_t>(one.msg_len);
}

int __real_epoll_ctl(int epoll, int operation, int fd, epoll_event* event);
int __wrap_epoll_ctl(int epoll, int operation, int fd, epoll_event* event) {
    const Aside aside;
    kernel().watch(epoll, fd);
    return __real_epoll_ctl(epoll, operation, fd, event);
}

// Other threads wait for real events, and are not counted.
int __wrap_epoll_wait(int epoll, epoll_event* events, int most, int timeout) {
    if (!kernel().is_workers(epoll))
        return __real_epoll_wait(epoll, events, most, timeout);
    const Aside aside;
    return kernel().wait(epoll, events, most);
}

// The log is discarded.
ssize_t __real_write(int fd, const void* bytes, size_t size);
ssize_t __wrap_write(int fd, const void* bytes, size_t size) {
    const Aside aside;
    if (fd != STDERR_FILENO)
        return __real_write(fd, bytes, size);
    kernel().write_log();
    return static_cast<ssize_t>(size);
}

// No process of this machine holds a recorded socket, so /proc is replaced by a folder without
// processes.
int __real_open(const char* path, int flags, ...);
int __wrap_open(const char* path, int flags, ...) {
    const Aside aside;
    return __real_open(std::string_view(path) == "/proc" ? "/" : path, flags); // never creates one
}

// Random numbers that are the same in each run.
void __wrap_randombytes_buf(void* buffer, size_t size) {
    const Aside aside;
    static std::mt19937_64 dice;
    auto* byte = static_cast<unsigned char*>(buffer);
    for (size_t i = 0; i < size; ++i)
        byte[i] = static_cast<unsigned char>(dice() >> 56);
}

unsigned __wrap__ZNSt13random_device9_M_getvalEv(std::random_device*) {
    return 4;
}

std::chrono::steady_clock::time_point __wrap__ZNSt6chrono3_V212steady_clock3nowEv() {
    return time_of<std::chrono::steady_clock>();
}

std::chrono::system_clock::time_point __wrap__ZNSt6chrono3_V212system_clock3nowEv() {
    return time_of<std::chrono::system_clock>();
}

} // extern "C"
