// ubf-connect: options, signals, and the signs of life for systemd.
#include "daemon/connect/ask_desk.hpp"
#include "daemon/connect/broker.hpp"
#include "daemon/core/event_loop.hpp"
#include "daemon/core/logged_loading.hpp"
#include "daemon/core/plain_log.hpp"
#include "daemon/core/program.hpp"
#include "daemon/core/signals.hpp"
#include "daemon/core/thread.hpp"

#include <boost/program_options.hpp>
#include <csignal>
#include <fmt/format.h>
#include <linux/capability.h>
#include <stdexcept>
#include <string>
#include <sys/prctl.h>
#include <systemd/sd-daemon.h>

namespace {

using namespace ubf::connect;

constexpr ubf::Program program{"ubf-connect", R"(Usage: ubf-connect [OPTION]...
Connects for people, on sockets that are theirs, what web portals send to a Unix socket.
)"};

struct Options {
    std::string file;
    std::string folder;
};

void run(const Options& options) {
    const ubf::PlainLog log("ubf-connect");
    // To give a socket to a person, and nothing else.
    ubf::enter_thread("ubf-connect", {CAP_CHOWN});
    ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    const auto signals = ubf::open_signals({SIGTERM, SIGINT, SIGHUP});
    ubf::EventLoop loop;
    ubf::Mailbox mailbox;
    loop.watch(mailbox.fd(), [&] { mailbox.run(); });
    Broker broker(loop, options.folder, settings_of(ubf::LoggedLoading::load(options.file)));
    AskDesk desk(loop, mailbox, broker, options.folder + "/ask.sock");
    ubf::LoggedLoading loading(loop, options.file, log,
                               [&](const auto& config) { broker.change(settings_of(config)); });
    bool stopping = false;
    loop.watch(signals.get(),
               [&] { stopping = ubf::take_signals(signals.get(), [&] { loading.begin(); }); });
    log.info(fmt::format("ready: portals ask at {}/ask.sock", options.folder));
    ::sd_notify(0, "READY=1");
    auto next_sign = ubf::TimePoint{};
    while (!stopping) {
        loop.run_once(ubf::Clock::now() + std::chrono::seconds(1));
        const auto now = ubf::Clock::now();
        broker.go_on(now);
        if (now < next_sign)
            continue;
        next_sign = now + std::chrono::seconds(1);
        if (!desk.is_in_place())
            throw std::runtime_error(fmt::format("the file {}/ask.sock was removed or changed; a "
                                                 "restart makes it anew",
                                                 options.folder));
        ::sd_notifyf(0, "WATCHDOG=1\nSTATUS=%s", broker.summary().c_str());
    }
    ::sd_notify(0, "STOPPING=1");
}

} // namespace

int main(int argc, char** argv) {
    Options given;
    boost::program_options::options_description options("Options");
    options.add_options() //
        ("config",
         boost::program_options::value(&given.file)
             ->default_value("/etc/ubf/ubfd.toml")
             ->value_name("FILE"),
         "the configuration, ubfd's own; [portal] is read") //
        ("folder",
         boost::program_options::value(&given.folder)
             ->default_value("/run/ubf/connect")
             ->value_name("PATH"),
         "where the sockets are");
    if (const auto status = program.take_options(argc, argv, options))
        return *status;
    return program.run([&] { run(given); });
}
