// ubf-portal: options, signals, and the signs of life for systemd.
#include "config/config.hpp"
#include "daemon/core/event_loop.hpp"
#include "daemon/core/program.hpp"
#include "daemon/core/signals.hpp"
#include "daemon/core/thread.hpp"
#include "daemon/portal/service.hpp"

#include <boost/program_options.hpp>
#include <csignal>
#include <string>
#include <sys/prctl.h>
#include <systemd/sd-daemon.h>

namespace {

constexpr ubf::Program program{"ubf-portal", R"(Usage: ubf-portal [OPTION]...
Answers web portals that ask whether a person may reach a program, before they connect.
)"};

void run(const std::string& file) {
    ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); // before the first thread, which inherits it
    const auto signals = ubf::open_signals({SIGTERM, SIGINT, SIGHUP});
    ubf::EventLoop loop;
    ubf::portal::Service service(loop, file);
    // CAP_CHOWN was for the socket's group. From here on strangers are heard.
    ubf::enter_thread("ubf-portal");
    bool stopping = false;
    loop.watch(signals.get(),
               [&] { stopping = ubf::take_signals(signals.get(), [&] { service.reload(); }); });
    auto next = service.go_on(ubf::Clock::now());
    ::sd_notify(0, "READY=1");
    std::string shown;
    auto next_sign = ubf::TimePoint{};
    while (!stopping) {
        loop.run_once(next);
        const auto now = ubf::Clock::now();
        next = service.go_on(now);
        if (now < next_sign)
            continue;
        next_sign = now + std::chrono::seconds(1);
        ::sd_notify(0, "WATCHDOG=1");
        if (auto summary = service.summary(); summary != shown) {
            ::sd_notifyf(0, "STATUS=%s", summary.c_str());
            shown = std::move(summary);
        }
    }
    ::sd_notify(0, "STOPPING=1");
}

} // namespace

int main(int argc, char** argv) {
    std::string file;
    boost::program_options::options_description options("Options");
    options.add_options() //
        ("config",
         boost::program_options::value(&file)
             ->default_value("/etc/ubf/ubfd.toml")
             ->value_name("FILE"),
         "the configuration, ubfd's own; [portal] is read");
    if (const auto status = program.take_options(argc, argv, options))
        return *status;
    return program.run([&] { run(file); });
}
