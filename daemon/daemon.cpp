#include "daemon/daemon.hpp"

#include "base/escape.hpp"
#include "daemon/control/request.hpp"
#include "daemon/core/thread.hpp"
#include "daemon/host.hpp"
#include "daemon/peer_news.hpp"
#include "owner/lookup.hpp"

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

constexpr const char* ident_name = "ident";

// ident has as many threads as the peers have gates that ask, within reason.
std::size_t answering_threads(unsigned queues) {
    constexpr unsigned most = 8;
    return std::min(queues, most);
}

constexpr const char* stamp_name = "stamp"; // links of programs in the kernel
constexpr const char* arrive_name = "arrive";
constexpr const char* receivers_name = "receivers";
constexpr const char* table_socket_name = "table"; // as ubfctl's ruleset.cpp has it

std::string queue_name(std::uint16_t number) {
    return fmt::format("queue-{}", number);
}

} // namespace

Daemon::Daemon(Options options, Config config, DescriptorStore& store)
  : options_(std::move(options))
  , mistake_(options_.mistake)
  , store_(store)
  , signals_(open_signals())
  , log_(config.log, users_, counters_)
  , start_(prepare(std::move(config)))
  , table_(store_.take(table_socket_name))
  , labeller_(job_table_, start_.config.labels, counters_)
  , udp_receivers_(start_.config.owners.bpf, cgroup_paths_.v2_fd(), store_.take(receivers_name),
                   [this](int link) { keep(receivers_name, link); })
  , udp_flows_(table_, lately_sent_, udp_receivers_, counters_)
  , exempt_listeners_(table_, counters_)
  , records_(start_.config.owners.bpf,
             start_.config.labels.slurm ? std::optional(cgroup_paths_.roots()) : std::nullopt)
  , recognition_(start_.config.owners.recognise, cgroup_paths_.v2_fd(),
                 {store_.take(stamp_name), store_.take(arrive_name)}, table_)
  , investigator_(users_, labeller_, records_, cgroup_paths_, counters_) {
    investigator_.count_subordinates(start_.config.policy.subids);
    // They were for loading BPF programs, which is done. (Root's CAP_SYS_ADMIN implies the others.)
    give_up({CAP_BPF, CAP_PERFMON, CAP_SYS_ADMIN});

    if (store_.had_any())
        peers_.forgive_until(Clock::now() + PeerTable::patience);

    // The queues come first: if another ubfd runs here, they can't be opened, and nothing was
    // changed.
    const auto& queue = start_.config.queue;
    std::vector<std::unique_ptr<Queue>> queues;
    for (unsigned i = 0; i < queue.count; ++i) {
        const auto number = static_cast<std::uint16_t>(queue.first + i);
        queues.push_back(std::make_unique<Queue>(number, queue.length, start_.config.mark,
                                                 counters_, store_.take(queue_name(number))));
    }

    // The askers: the workers, explain, and RDMA's watcher.
    const auto first_asker = static_cast<std::size_t>(ident::Channel::first_asker);
    const std::size_t channels = first_asker + queue.count + 2u;
    open_ident(channels);
    for (const auto& socket : ident_sockets_) // its own thread reads what comes in there
        loop_.watch_errors(socket.fd(), [this, &socket] {
            for (const auto& address : socket.refusals())
                peers_.refused(address, Clock::now());
        });
    for (std::size_t i = first_asker; i < channels; ++i)
        askers_.push_back(std::make_unique<ident::Asker>(
            ident_sockets_[i], ident_sockets_.back(), static_cast<ident::Channel>(i),
            start_.rules->terms, start_.rules->deadline, peers_, counters_));
    for (std::size_t i = 0; i < answering_threads(queue.count); ++i)
        services_.push_back(std::make_unique<ident::Service>(
            ident_sockets_[i == 0 ? 0 : channels + i - 1], start_.rules->terms,
            start_.rules->deadline,
            ident::Service::Shared{peers_, investigator_, udp_flows_, sent_flows_, counters_},
            i == 0 ? nullptr : services_.front().get()));
    const Kernel kernel{table_, udp_flows_, exempt_listeners_};
    const Shared shared{counters_, peers_, investigator_, labelled_room_, log_};
    for (unsigned i = 0; i < queue.count; ++i)
        workers_.push_back(std::make_unique<Worker>(std::move(queues[i]), *askers_[i], start_.rules,
                                                    kernel, shared));
    rdma_ = std::make_unique<RdmaWatcher>(
        *askers_[queue.count + 1u], rdma_rules(start_.config, *start_.rules),
        RdmaWatcher::Shared{counters_, peers_, investigator_, log_});
    services_.front()->on_rdma(
        [this](const Flow& flow, auto done) { rdma_->find(flow, std::move(done)); });
    jobs_ = std::make_unique<Jobs>(job_table_, start_.config.labels.state_directory, log_,
                                   counters_, [this](Uid uid) { relabel(uid); });
    services_.front()->on_withdrawn([this](const Flow& flow) {
        for (const auto& worker : workers_)
            worker->reconsider(flow);
    });
    auto& explains = *askers_[queue.count];
    explainer_ = std::make_unique<Explainer>(explains, start_.rules,
                                             watched_scope(start_.config, start_.environment),
                                             sockets_, shared, users_, recognition_.terms());
    loop_.watch(explains.fd(), [&explains] { explains.receive(); });
    flow_desk_ = std::make_unique<FlowDesk>(loop_, workers_);
    control_ = std::make_unique<ControlServer>(
        loop_, start_.config.control.socket,
        [this](const auto& request, auto reply) { handle(request, reply); });
    loop_.watch(signals_.get(), [this] { handle_signal(); });

    install_ruleset();
}

void Daemon::install_ruleset() {
    undecided_ = std::make_unique<Undecided>(
        workers_, watched_scope(start_.config, start_.environment), counters_, log_);
    ruleset_ = std::make_unique<RulesetKeeper>(start_.config, start_.environment, table_,
                                               keep_table_socket(), loop_, log_);
    ruleset_->install();
    ruleset_->on_whole_again([this] {
        recognition_.put_evidence();
        undecided_->look_for_them(Clock::now());
    });
    // At a first start, connections are older than the ruleset, and go on. After a restart they
    // were decided before, unless the table was gone meanwhile.
    if (store_.had_any() && !ruleset_->was_there())
        undecided_->look_for_them(Clock::now());
    else
        undecided_->pass_over_present();
    loop_.watch(recognition_.notices_fd(), [this] { recognition_.interfaces_changed(); });
    loop_.watch(mailbox_.fd(), [this] { mailbox_.run(); });
    begin_recognition();
}

void Daemon::begin_recognition() {
    const auto& config = start_.config;
    recognition_.begin(recognition_terms(config, start_.rules->terms->keys),
                       config.scope.interfaces, config.fabric.enabled);
}

// Calls `then` when the workers know all flows that the kernel has let in by itself.
void Daemon::with_recognised(const ControlServer::Reply& reply, const std::function<void()>& then) {
    const auto recognisable = [this](const UndecidedFlow& flow) {
        return is_recognised(recognition_.terms(),
                             flow.fabric ? UBF_SIDE_FABRIC : UBF_SIDE_ETHERNET,
                             flow.flow.source.address, *flow.uid);
    };
    const bool found = undecided_->adopt(recognisable, [this, then] { mailbox_.post(then); });
    if (!found)
        reply({{"ok", false},
               {"error", "the kernel did not list the connections of this node, among which are "
                         "those that it recognised; try again"}});
}

// Any user may have taken the port before us, where it isn't privileged.
void Daemon::open_ident(std::size_t channels) {
    const Port port = start_.config.ident.port;
    try {
        ident_sockets_ = ident::Socket::open(
            port, channels, answering_threads(start_.config.queue.count), store_.take(ident_name));
    } catch (const std::system_error& error) {
        const Endpoint here{*Address::parse("127.0.0.1"), port};
        const auto holder = OwnerLookup().receiver({Protocol::udp, here, here}, 0);
        if (error.code().value() != EADDRINUSE || !holder)
            throw;
        const auto owner = investigator_.find_now(*holder, ident::Role::listener,
                                                  Clock::now() + std::chrono::seconds(1));
        const auto process = owner.credentials ? owner.credentials->process : Process{};
        throw std::system_error(
            error.code(),
            fmt::format("binding the ident port, udp {}: {}'s program {}[{}] has it; stop it, or "
                        "set ident.port to another port on every node",
                        port, users_.name(owner.uid), escape(process.comm), value(process.pid)));
    }
    if (port >= start_.environment.unprivileged_port_start)
        log_.warning(fmt::format("ident.port {} is one that every user can take before ubfd does, "
                                 "who then keeps it from starting: choose one below "
                                 "net.ipv4.ip_unprivileged_port_start, {}",
                                 port, start_.environment.unprivileged_port_start));
}

// Has systemd keep this descriptor in place of another of that name; -1: keep none.
void Daemon::keep(const char* name, int fd) {
    store_.drop(name);
    if (fd >= 0)
        store_.keep(name, fd);
}

// A table that our socket owns goes with the socket, unless the kernel lets it stay. So systemd
// must keep the socket before it owns the table, or nothing would be refused once we die.
nft::Ownership Daemon::keep_table_socket() {
    using nft::Ownership;
    if (!DescriptorStore::is_there())
        return Ownership::none;
    const auto most = nft::Installer().probe_ownership();
    if (most == Ownership::none || (most == Ownership::socket && !options_.leave_ruleset))
        return Ownership::none;
    store_.keep(table_socket_name, table_.fd());
    return most == Ownership::persistent || DescriptorStore::settle() ? most : Ownership::none;
}

Daemon::~Daemon() {
    control_.reset();
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
    if (!lock_memory())
        log_.warning("memory is not locked: raise LimitMEMLOCK of the unit");
    for (const auto& worker : workers_)
        store_.keep(queue_name(worker->queue().number()), worker->queue().fd());
    store_.keep(ident_name, ident_sockets_.front().fd());
    keep(stamp_name, recognition_.links().stamp.get());
    keep(arrive_name, recognition_.links().arrive.get());
    store_.drop_rest();
    ::sd_notify(0, "READY=1");

    watch_threads();
    auto next_look = Clock::now();
    while (!stopping_) {
        const auto now = Clock::now();
        life_.beat(now);
        if (now >= next_look) {
            follow_sysctl();
            ask_for_names(now);
            ruleset_->look(now);
            surroundings_.look(start_.config, now);
            recognition_.look(now);
            for (const auto& line : peer_news(peers_, now))
                log_.warning(line);
            for (auto& [is_error, text] : life_.look(now))
                is_error ? log_.error(std::move(text)) : log_.warning(std::move(text));
            life_.show(now, [this] { return summary(); });
            jobs_->look(now);
            next_look = now + std::chrono::milliseconds(500);
        }
        loop_.run_once(std::min({explainer_->next().value_or(next_look),
                                 flow_desk_->next().value_or(next_look),
                                 undecided_->next().value_or(next_look), next_look}));
        explainer_->on_time(Clock::now());
        undecided_->on_time(Clock::now());
        flow_desk_->on_time(Clock::now());
    }

    log_.watch(nullptr);
    ::sd_notify(0, "STOPPING=1");
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
    const ActionSums sums(counters_.verdicts);
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
    else if (command == "explain")
        explainer_->explain(request, reply);
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
        reply({{"ok", false},
               {"error", "unknown command; there are status, explain, flows, revoke, job-begin, "
                         "job-end and jobs"}});
}

} // namespace ubf
