#include "lookup/program.hpp"

#include "storm/socket.hpp"

#include <cerrno>
#include <csignal>
#include <exception>
#include <iostream>
#include <netinet/in.h>
#include <stdexcept>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

namespace ubf::bench {
namespace {

// Opens the sockets, writes their ports, and lives as long as its parent.
[[noreturn]] void be_program(Uid uid, int ports) {
    if (::setresgid(value(uid), value(uid), value(uid)) < 0 ||
        ::setresuid(value(uid), value(uid), value(uid)) < 0)
        fail("becoming the user");
    // The change of credentials has reset both.
    ::prctl(PR_SET_DUMPABLE, 1);
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    std::vector<UniqueFd> open;
    for (std::size_t i = 0; i < sockets; ++i)
        open.push_back(open_server(SOCK_STREAM, 0));
    const auto to = socket_address("127.0.0.1", local_end(open.front()).port);
    for (std::size_t i = 0; i < sockets; ++i)
        open.push_back(open_client(SOCK_STREAM, to));
    for (const auto& fd : open) {
        const Port port = local_end(fd).port;
        if (::write(ports, &port, sizeof port) != sizeof port)
            fail("write");
    }
    while (true)
        ::pause();
}

} // namespace

Program start_program(Uid uid) {
    int ends[2];
    if (::pipe(ends) < 0)
        fail("pipe");
    const pid_t pid = ::fork();
    if (pid < 0)
        fail("fork");
    if (pid == 0) {
        try {
            be_program(uid, ends[1]);
        } catch (const std::exception& error) {
            std::cerr << "lookup: " << error.what() << '\n';
            ::_exit(1);
        }
    }
    ::close(ends[1]);
    const UniqueFd ports(ends[0]);
    Program program;
    program.pid = pid;
    for (std::size_t i = 0; i < 2 * sockets; ++i) {
        Port port = 0;
        if (::read(ports.get(), &port, sizeof port) != sizeof port)
            throw std::runtime_error("the program to look for did not start");
        (i < sockets ? program.listeners : program.connectors)
            .push_back({*Address::parse("127.0.0.1"), port});
    }
    return program;
}

void end_program(const Program& program) {
    ::kill(program.pid, SIGKILL);
    ::waitpid(program.pid, nullptr, 0);
}

UniqueFd open_server_of(Uid uid) {
    UniqueFd server;
    std::exception_ptr failure;
    std::thread([&] {
        try {
            // The system call changes only this thread, but glibc's function would change all.
            if (::syscall(SYS_setresuid, value(uid), value(uid), value(uid)) < 0)
                fail("becoming the user");
            server = open_server(SOCK_STREAM, 0);
        } catch (...) {
            failure = std::current_exception();
        }
    }).join();
    if (failure)
        std::rethrow_exception(failure);
    return server;
}

Endpoint local_end(const UniqueFd& fd) {
    SocketAddress address;
    address.length = sizeof address.storage;
    if (::getsockname(fd.get(), address.get(), &address.length) < 0)
        fail("getsockname");
    // Both families have the port at the same offset (netinet/in.h).
    const auto* in = reinterpret_cast<const sockaddr_in*>(&address.storage);
    return {*Address::parse("127.0.0.1"), ntohs(in->sin_port)};
}

} // namespace ubf::bench
