// ubf-rdmad: options, signals, and the signs of life for systemd.
#include "base/unique_fd.hpp"
#include "base/version.hpp"
#include "daemon/core/event_loop.hpp"
#include "daemon/core/thread.hpp"
#include "daemon/rdma/watch.hpp"

#include <boost/program_options.hpp>
#include <cerrno>
#include <csignal>
#include <exception>
#include <fmt/format.h>
#include <iostream>
#include <linux/capability.h>
#include <string>
#include <sys/signalfd.h>
#include <sysexits.h>
#include <system_error>
#include <systemd/sd-daemon.h>

namespace {

namespace po = boost::program_options;

constexpr const char* usage = R"(Usage: ubf-rdmad [OPTION]...
Watches the connections of RDMA's connection manager for ubfd, and ends those that ubfd refuses.
)";

int failure(int code, const std::string& what) {
    std::cerr << "ubf-rdmad: " << what << '\n';
    return code;
}

ubf::UniqueFd open_signals() {
    sigset_t signals;
    sigemptyset(&signals);
    for (const int signal : {SIGTERM, SIGINT})
        sigaddset(&signals, signal);
    if (::sigprocmask(SIG_BLOCK, &signals, nullptr) != 0)
        throw std::system_error(errno, std::generic_category(), "blocking signals");
    ubf::UniqueFd fd(::signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
    if (!fd)
        throw std::system_error(errno, std::generic_category(), "signalfd");
    return fd;
}

void run(const std::string& socket) {
    // To kill, and to see processes that /proc hides (hidepid).
    ubf::enter_thread("ubf-rdmad", {CAP_KILL, CAP_SYS_PTRACE});
    const auto signals = open_signals();
    ubf::EventLoop loop;
    bool stopping = false;
    loop.watch(signals.get(), [&] { stopping = true; });
    ubf::rdma::Watch watch(loop, socket, [] { ::sd_notify(0, "WATCHDOG=1"); });
    auto next = watch.go_on(ubf::Clock::now());
    ::sd_notify(0, "READY=1");
    std::string shown;
    while (!stopping) {
        loop.run_once(next);
        next = watch.go_on(ubf::Clock::now());
        if (auto summary = watch.summary(); summary != shown) {
            ::sd_notifyf(0, "STATUS=%s", summary.c_str());
            shown = std::move(summary);
        }
    }
    ::sd_notify(0, "STOPPING=1");
}

} // namespace

int main(int argc, char** argv) {
    std::string socket;
    po::options_description options("Options");
    options.add_options() //
        ("socket", po::value(&socket)->default_value("/run/ubf/control.sock")->value_name("PATH"),
         "where ubfd listens, its control.socket") //
        ("help,h", "print this and exit")          //
        ("version,V", "print the version and exit");
    po::variables_map given;
    try {
        using namespace po::command_line_style;
        po::store(po::command_line_parser(argc, argv)
                      .options(options)
                      .positional({}) // options only
                      .style(unix_style & ~allow_guessing)
                      .run(),
                  given);
        po::notify(given);
    } catch (const po::error& error) {
        return failure(EX_USAGE,
                       fmt::format("{}; 'ubf-rdmad --help' lists the options", error.what()));
    }
    if (given.contains("help")) {
        std::cout << usage << '\n' << options;
        return EX_OK;
    }
    if (given.contains("version")) {
        std::cout << ubf::version_of("ubf-rdmad") << '\n';
        return EX_OK;
    }
    try {
        run(socket);
        return EX_OK;
    } catch (const std::system_error& error) {
        return failure(EX_OSERR, error.what());
    } catch (const std::exception& error) {
        return failure(EX_SOFTWARE, error.what());
    }
}
