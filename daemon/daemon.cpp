#include "daemon/daemon.hpp"

#include "base/descriptor_names.hpp"
#include "daemon/control/request.hpp"
#include "daemon/core/thread.hpp"
#include "daemon/host.hpp"
#include "daemon/peer_news.hpp"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <fmt/format.h>
#include <linux/capability.h>
#include <sys/signalfd.h>
#include <system_error>
#include <systemd/sd-daemon.h>
#include <utility>

namespace ubf {
namespace {

// Signals are read from a descriptor; the threads, which inherit the mask, never see one.
UniqueFd open_signals() {
    sigset_t signals;
    sigemptyset(&signals);
    for (const int signal : {SIGTERM, SIGINT, SIGHUP})
        sigaddset(&signals, signal);
    if (::pthread_sigmask(SIG_BLOCK, &signals, nullptr) != 0)
        throw std::system_error(errno, std::generic_category(), "blocking signals");
    UniqueFd fd(::signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
    if (!fd)
        throw std::system_error(errno, std::generic_category(), "signalfd");
    return fd;
}

} // namespace

Daemon::Daemon(Options options, Config config, DescriptorStore& store)
  : options_(std::move(options))
  , mistake_(options_.mistake)
  , store_(store)
  , signals_(open_signals())
  , log_(config.log, users_, refusals_, counters_.log)
  , start_(prepare(std::move(config)))
  , table_(store_.take(descriptor::table))
  , labeller_(job_table_, start_.config.labels, counters_.owners)
  , udp_receivers_(start_.config.owners.bpf, cgroup_paths_.v2_fd(),
                   store_.take(descriptor::receivers),
                   [this](int link) { keep(descriptor::receivers, link); })
  , udp_flows_(table_, lately_sent_, udp_receivers_, counters_)
  , exempt_listeners_(table_, counters_.flows)
  , records_(start_.config.owners.bpf,
             start_.config.labels.slurm ? std::optional(cgroup_paths_.roots()) : std::nullopt)
  , recognition_(start_.config.owners.recognise, cgroup_paths_.v2_fd(),
                 {store_.take(descriptor::stamp), store_.take(descriptor::arrive)}, table_)
  , investigator_(users_, labeller_, records_, cgroup_paths_, counters_.owners) {
    investigator_.count_subordinates(start_.config.policy.subids);
    udp_receivers_.observe(start_.config.observed.all);
    // They were for loading BPF programs, which is done. (Root's CAP_SYS_ADMIN implies the others.)
    give_up({CAP_BPF, CAP_PERFMON, CAP_SYS_ADMIN});

    if (store_.had_any())
        peers_.forgive_until(Clock::now() + PeerTable::patience);

    // The queues come first: if another ubfd runs here, they can't be opened, and nothing was
    // changed.
    auto queues = open_queues();
    begin_memory();
    begin_ident();
    begin_gate(std::move(queues));
    begin_control();
    install_ruleset();
}

Daemon::~Daemon() {
    control_.reset();
    user_control_.reset();
    refusals_.on_new({});
    explainer_.reset();
    stop_workers();
    if (rdma_)
        rdma_->stop();
    // Other threads may still call these, and must find them stopped, but not gone.
    investigator_.stop();
    sent_flows_.stop();
    while (!services_.empty())
        services_.pop_back(); // the first last: the others hand questions on to it
    workers_.clear();
}

// Stops all at once: each worker may wait for its last answer.
void Daemon::stop_workers() {
    for (const auto& worker : workers_)
        worker->begin_stop();
    for (const auto& worker : workers_)
        worker->stop();
}

void Daemon::run() {
    say_how_it_begins();
    if (!lock_memory())
        log_.warning("memory is not locked: raise LimitMEMLOCK of the unit");
    keep_descriptors();
    ::sd_notify(0, "READY=1");

    watch_threads();
    auto next_look = Clock::now();
    while (!stopping_) {
        const auto now = Clock::now();
        life_.beat(now);
        if (now >= next_look) {
            look(now);
            next_look = now + std::chrono::milliseconds(500);
        }
        loop_.run_once(std::min({explainer_->next().value_or(next_look),
                                 flow_desk_->next().value_or(next_look),
                                 undecided_->next().value_or(next_look), next_look}));
        explainer_->on_time(Clock::now());
        undecided_->on_time(Clock::now());
        flow_desk_->on_time(Clock::now());
    }
    end();
}

void Daemon::say_how_it_begins() {
    const auto& queue = start_.config.queue;
    log_.info(fmt::format("ready: queues {} to {}, ident on udp {}, {} peer ranges, {}",
                          queue.first, queue.first + queue.count - 1, start_.config.ident.port,
                          start_.config.peers.ranges.size(),
                          nft::to_string(start_.environment.queue_expression)));
    log_.info(fmt::format("the kernel's records of owners: {}", records_.state()));
    log_.info(fmt::format("recognition of one user's connections: {}", recognition_.state()));
    if (mistake_.empty())
        keep_as_last_good();
    else
        log_.error(fmt::format("NOT THE CONFIGURATION OF {}, but the last good one, {}, holds "
                               "until that is mended and 'systemctl reload ubfd' is done: {}",
                               options_.config_file.string(), options_.last_good.string(),
                               mistake_));
    for (const auto& warning : host_warnings())
        log_.warning(warning);
    name_unknown();
    for (const auto& warning : warnings(start_.config))
        log_.warning(warning);
}

// Twice a second.
void Daemon::look(TimePoint now) {
    follow_sysctl();
    ask_for_names(now);
    end_exceptions();
    ruleset_->look(now);
    surroundings_.look(start_.config, now);
    recognition_.look(now);
    for (const auto& line : peer_news(peers_, now))
        log_.warning(line);
    for (auto& [is_error, text] : life_.look(now))
        is_error ? log_.error(std::move(text)) : log_.warning(std::move(text));
    life_.show(now, [this] { return summary(); });
    jobs_->look(now);
    if (const auto mistake = refusals_.look(now))
        log_.warning(*mistake);
}

void Daemon::end() {
    log_.watch(nullptr);
    ::sd_notify(0, "STOPPING=1");
    if (const auto mistake = refusals_.look(Clock::now(), true))
        log_.warning(*mistake);
    if (options_.leave_ruleset || start_.config.ruleset.keep_on_stop) {
        stop_workers();
        log_.info("stopped; the ruleset stays and refuses new flows");
        return;
    }
    ruleset_->remove();
    log_.info("stopped; the ruleset is removed");
}

// This thread watches all others, and the log's thread watches this one.
void Daemon::watch_threads() {
    for (const auto& worker : workers_)
        life_.watch(worker->heartbeat());
    for (const auto& service : services_)
        life_.watch(service->heartbeat());
    life_.watch(udp_flows_.heartbeat());
    life_.watch(sent_flows_.heartbeat());
    life_.watch(exempt_listeners_.heartbeat());
    life_.watch(rdma_->heartbeat());
    for (const auto& heartbeat : investigator_.heartbeats())
        life_.watch(heartbeat);
    life_.watch(users_.heartbeat());
    life_.watch(log_.heartbeat());
    life_.beat(Clock::now());
    log_.watch(&life_.heartbeat());
}

// One line for `systemctl status`.
std::string Daemon::summary() const {
    const ActionSums sums(counters_.gate.verdicts);
    const auto silent = std::ranges::count_if(peers_.list(), &PeerTable::Peer::silent);
    return fmt::format("ruleset {}; allowed {}, denied {}, dropped {}; {} peers silent",
                       to_string(ruleset_->state()), sums[Action::allow], sums[Action::deny],
                       sums[Action::drop], silent);
}

void Daemon::handle_signal() {
    signalfd_siginfo info{};
    while (::read(signals_.get(), &info, sizeof info) == sizeof info) {
        if (info.ssi_signo == SIGHUP)
            static_cast<void>(reload());
        else
            stopping_ = true;
    }
}

void Daemon::handle(const ControlServer::Json& request, const ControlServer::Reply& reply) {
    const auto command = text_of(request, "command");
    if (command == "status")
        reply(status(is_set(request, "peers")));
    else if (command == "rdma")
        rdma_->report(request, [this, reply](ControlServer::Json answer) {
            mailbox_.post([reply, answer = std::move(answer)] { reply(answer); });
        });
    else if (command == "explain")
        explainer_->explain(request, reply);
    else if (command == "allow")
        reply(allow(request));
    else if (command == "config")
        reply(settings());
    else if (command == "refusals")
        reply(refusal_desk_.list(request, start_.config.policy));
    else if (command == "flows")
        with_recognised(reply, [=, this] { flow_desk_->list(request, reply); });
    else if (command == "revoke")
        with_recognised(reply, [=, this] { flow_desk_->revoke(request, reply); });
    else if (command == "reload") {
        const auto mistake = reload();
        reply(mistake ? ControlServer::Json{{"ok", false}, {"error", *mistake}}
                      : ControlServer::Json{{"ok", true}});
    } else if (command == "job-begin")
        reply(jobs_->begin(request));
    else if (command == "job-end")
        reply(jobs_->end(request));
    else if (command == "jobs")
        reply(jobs_->list());
    else
        reply(
            {{"ok", false},
             {"error",
              "unknown command; there are status, config, allow, explain, refusals, flows, revoke, "
              "reload, job-begin, job-end, jobs and rdma"}});
}

// Every user may ask these.
ControlServer::Json Daemon::handle_users(const ControlServer::Json& request, Uid asker) const {
    if (text_of(request, "command") == "why")
        return refusal_desk_.why(request, asker, start_.config.control.reveal,
                                 start_.config.policy);
    return {{"ok", false}, {"error", "unknown command; there is why"}};
}

} // namespace ubf
