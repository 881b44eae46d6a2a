// crowd PROCESSES DESCRIPTORS: the idle processes of a busy node, each with this many open sockets.
// Prints "ready" when all are there. SIGTERM ends all of them.
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <iostream>
#include <string>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <system_error>
#include <unistd.h>
#include <vector>

namespace {

// Returns in the parent; the child stays idle.
pid_t start_one(int descriptors, int ready) {
    const pid_t pid = ::fork();
    if (pid < 0)
        throw std::system_error(errno, std::generic_category(), "fork");
    if (pid > 0)
        return pid;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (int i = 0; i < descriptors; ++i)
        if (::socket(AF_UNIX, SOCK_STREAM, 0) < 0)
            ::_exit(1);
    if (::write(ready, "", 1) != 1)
        ::_exit(1);
    ::close(ready);
    while (true)
        ::pause();
}

} // namespace

int main(int argc, char** argv) {
    if (argc != 3) {
        std::cerr << "crowd PROCESSES DESCRIPTORS\n";
        return 2;
    }
    try {
        const int processes = std::stoi(argv[1]);
        sigset_t end;
        sigemptyset(&end);
        sigaddset(&end, SIGTERM);
        ::sigprocmask(SIG_BLOCK, &end, nullptr);
        int pipe[2];
        if (::pipe(pipe) < 0)
            throw std::system_error(errno, std::generic_category(), "pipe");
        std::vector<pid_t> crowd;
        for (int i = 0; i < processes; ++i)
            crowd.push_back(start_one(std::stoi(argv[2]), pipe[1]));
        ::close(pipe[1]); // a read then ends early if a child could not get its descriptors
        char byte = 0;
        for (int i = 0; i < processes; ++i)
            if (::read(pipe[0], &byte, 1) != 1)
                throw std::runtime_error("a process got no descriptors");
        std::cout << "ready" << std::endl;
        int signal = 0;
        ::sigwait(&end, &signal);
        for (const pid_t pid : crowd)
            ::kill(pid, SIGKILL);
        while (::wait(nullptr) > 0) {
        }
        return 0;
    } catch (const std::exception& error) {
        std::cerr << "crowd: " << error.what() << '\n';
        return 1;
    }
}
