// ubf-rdmad: options, signals, and the signs of life for systemd.
#include "daemon/core/event_loop.hpp"
#include "daemon/core/program.hpp"
#include "daemon/core/signals.hpp"
#include "daemon/core/thread.hpp"
#include "daemon/rdma/watch.hpp"

#include <boost/program_options.hpp>
#include <csignal>
#include <linux/capability.h>
#include <string>
#include <systemd/sd-daemon.h>

namespace {

constexpr ubf::Program program{"ubf-rdmad", R"(Usage: ubf-rdmad [OPTION]...
Watches the connections of RDMA's connection manager for ubfd, and ends those that ubfd refuses.
)"};

void run(const std::string& socket) {
    // To kill, and to see processes that /proc hides (hidepid).
    ubf::enter_thread("ubf-rdmad", {CAP_KILL, CAP_SYS_PTRACE});
    const auto signals = ubf::open_signals({SIGTERM, SIGINT});
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
    boost::program_options::options_description options("Options");
    options.add_options() //
        ("socket",
         boost::program_options::value(&socket)
             ->default_value("/run/ubf/control.sock")
             ->value_name("PATH"),
         "where ubfd listens, its control.socket");
    if (const auto status = program.take_options(argc, argv, options))
        return *status;
    return program.run([&] { run(socket); });
}
