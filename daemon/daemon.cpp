#include "daemon/daemon.hpp"

#include "base/escape.hpp"
#include "daemon/control/request.hpp"
#include "daemon/core/thread.hpp"
#include "daemon/host.hpp"
#include "ident/key.hpp"
#include "nft/probe.hpp"
#include "owner/lookup.hpp"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <future>
#include <linux/capability.h>
#include <sys/signalfd.h>
#include <system_error>
#include <systemd/sd-daemon.h>
#include <thread>
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

// The kernel makes the mount point where SELinux is on (selinuxfs.c); a policy may keep us from it.
bool selinux_is_enabled() {
    std::error_code error;
    return std::filesystem::exists("/sys/fs/selinux", error) ||
           error == std::errc::permission_denied;
}

std::string queue_name(std::uint16_t number) {
    return fmt::format("queue-{}", number);
}

Scope watched(const Config& config, const nft::Environment& environment) {
    return scope_of(config, environment.unprivileged_port_start);
}

std::shared_ptr<const RdmaRules> rdma_rules(const Config& config, const Rules& rules) {
    return std::make_shared<const RdmaRules>(RdmaRules{config.fabric.rdma, config.fabric_policy(),
                                                       config.fabric.exempt_ports, rules.terms,
                                                       rules.deadline, rules.labelled});
}

} // namespace

// Does everything that a bad configuration can make fail, before anything is changed.
Daemon::Start Daemon::prepare(Config config) const {
    auto keys = load_keys(config.ident.key_file);
    nft::Installer installer;
    auto environment = nft::probe(config, installer);
    if (const auto lacks = nft::shortfall(environment); !lacks.empty())
        throw nft::NftError(lacks, EOPNOTSUPP);
    config.queue.count = environment.queue_count;
    auto peers = config.peers.ranges;
    peers.insert(peers.end(), config.fabric.peers.begin(), config.fabric.peers.end());
    auto terms = std::make_shared<const ident::Terms>(
        ident::Terms{config.ident.port, config.ident.clock_skew, std::move(peers), std::move(keys),
                     config.fabric.management});
    const auto& labels = config.labels;
    if (labels.selinux && !selinux_is_enabled())
        throw ConfigError(
            "labels.selinux is on, but SELinux is not enabled on this node: enable it "
            "(selinux=1 on the kernel's command line), or turn labels.selinux off");
    auto rules =
        std::make_shared<const Rules>(Rules{{config.policy, config.peers.ranges},
                                            {config.fabric_policy(), config.fabric_peers()},
                                            config.fabric.pkeys,
                                            config.ident.deadline,
                                            std::move(terms),
                                            labels.any() || !config.fabric.pkeys.empty(),
                                            labels.selinux,
                                            labels.end_flows});
    return {std::move(config), environment, std::move(rules)};
}

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
    const Shared shared{table_,     counters_,         peers_,         investigator_,
                        udp_flows_, exempt_listeners_, labelled_room_, log_};
    for (unsigned i = 0; i < queue.count; ++i)
        workers_.push_back(
            std::make_unique<Worker>(std::move(queues[i]), *askers_[i], start_.rules, shared));
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
    explainer_ = std::make_unique<Explainer>(loop_, *askers_[queue.count], start_.rules,
                                             watched(start_.config, start_.environment), shared,
                                             users_, recognition_.terms());
    flow_desk_ = std::make_unique<FlowDesk>(loop_, workers_);
    control_ = std::make_unique<ControlServer>(
        loop_, start_.config.control.socket,
        [this](const auto& request, auto reply) { handle(request, reply); });
    loop_.watch(signals_.get(), [this] { handle_signal(); });

    install_ruleset();
}

void Daemon::install_ruleset() {
    undecided_ = std::make_unique<Undecided>(workers_, watched(start_.config, start_.environment),
                                             counters_, log_);
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
    std::uint64_t watchdog_us = 0;
    if (::sd_watchdog_enabled(0, &watchdog_us) > 0)
        watchdog_ = std::chrono::microseconds(watchdog_us);
    ::sd_notify(0, "READY=1");

    watch_threads();
    auto next_look = Clock::now();
    while (!stopping_) {
        const auto now = Clock::now();
        heartbeat_.beat(now);
        if (now >= next_look) {
            follow_sysctl();
            ask_for_names(now);
            ruleset_->look(now);
            surroundings_.look(start_.config, now);
            recognition_.look(now);
            name_other_versions(now);
            name_other_clocks(now);
            show_life();
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
        threads_.add(worker->heartbeat());
    for (const auto& service : services_)
        threads_.add(service->heartbeat());
    threads_.add(udp_flows_.heartbeat());
    threads_.add(sent_flows_.heartbeat());
    threads_.add(exempt_listeners_.heartbeat());
    threads_.add(rdma_->heartbeat());
    for (const auto& heartbeat : investigator_.heartbeats())
        threads_.add(heartbeat);
    threads_.add(users_.heartbeat());
    threads_.add(log_.heartbeat());
    heartbeat_.beat(Clock::now());
    log_.watch(&heartbeat_);
}

// Feeds systemd's watchdog, if all vital threads go on, and reports our status.
void Daemon::show_life() {
    const auto now = Clock::now();
    for (auto& [is_error, text] : threads_.look(now))
        is_error ? log_.error(std::move(text)) : log_.warning(std::move(text));
    if (threads_.all_vital_go_on() && watchdog_.count() > 0)
        ::sd_notify(0, "WATCHDOG=1");
    if (now - shown_ < std::chrono::seconds(5))
        return;
    shown_ = now;
    const ActionSums sums(counters_.verdicts);
    const auto silent = std::ranges::count_if(peers_.list(), &PeerTable::Peer::silent);
    ::sd_notify(0, fmt::format("STATUS=ruleset {}; allowed {}, denied {}, dropped {}; {} peers "
                               "silent",
                               to_string(ruleset_->state()), sums[Action::allow],
                               sums[Action::deny], sums[Action::drop], silent)
                       .c_str());
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

// All or nothing: if the file can't be loaded, the old configuration stays.
std::optional<std::string> Daemon::reload() {
    ::sd_notify(0, "RELOADING=1");
    mistake_.clear();
    try {
        auto fresh = prepare(load_config(options_.config_file));
        if (const auto names = need_restart(start_.config, fresh.config); !names.empty())
            throw ConfigError(fmt::format("changes of {} take effect at a restart only: restart "
                                          "ubfd, or undo them",
                                          fmt::join(names, ", ")));
        ruleset_->replace(fresh.config, fresh.environment);
        apply(std::move(fresh));
        for (const auto& warning : warnings(start_.config))
            log_.warning(warning);
        log_.info(fmt::format("reloaded {}", options_.config_file.string()));
        keep_as_last_good();
    } catch (const std::exception& error) {
        mistake_ = error.what();
        log_.error(fmt::format("not reloaded, the old configuration stays: {}", mistake_));
    }
    ::sd_notify(0, "READY=1");
    return mistake_.empty() ? std::nullopt : std::optional(mistake_);
}

void Daemon::keep_as_last_good() {
    if (options_.last_good.empty())
        return;
    try {
        save_config(options_.last_good, start_.config.text);
    } catch (const ConfigError& error) {
        log_.warning(fmt::format("the next start could not fall back on this configuration: {}",
                                 error.what()));
    }
}

void Daemon::apply(Start fresh) {
    const bool otherwise = !decide_alike(start_.config, fresh.config);
    const bool relabelled = !start_.config.labels.same_sources(fresh.config.labels);
    start_ = std::move(fresh);
    recognition_.pause();
    surroundings_.look_again();
    labeller_.set_sources(start_.config.labels);
    investigator_.count_subordinates(start_.config.policy.subids);
    investigator_.forget_all();
    for (const auto& worker : workers_)
        worker->set_rules(start_.rules, otherwise);
    rdma_->set_rules(rdma_rules(start_.config, *start_.rules));
    for (const auto& service : services_) {
        service->set_terms(start_.rules->terms, start_.rules->deadline);
        if (relabelled && start_.config.labels.end_flows)
            service->withdraw_all();
    }
    explainer_->set_rules(start_.rules, watched(start_.config, start_.environment));
    undecided_->set_scope(watched(start_.config, start_.environment),
                          ruleset_->state() == RulesetKeeper::State::installed);
    begin_recognition();
    if (otherwise)
        undecided_->judge_recognised(Clock::now());
}

// The labels of this user's processes changed. All that was found of them is forgotten first. Then
// the flows that these labels allowed are decided again, here and at the peers that were told.
void Daemon::relabel(Uid uid) {
    investigator_.forget(uid);
    if (!start_.config.labels.end_flows)
        return;
    for (const auto& worker : workers_)
        worker->reconsider(uid);
    rdma_->reconsider(uid);
    for (const auto& service : services_)
        service->withdraw(uid);
}

// The first port that users can bind is a setting of the node, and may change while we run.
void Daemon::follow_sysctl() {
    const auto was = start_.environment.unprivileged_port_start;
    const auto now = nft::read_environment(start_.config).unprivileged_port_start;
    if (now == was)
        return;
    log_.info(fmt::format("net.ipv4.ip_unprivileged_port_start was {} and is {}: the ruleset must "
                          "follow",
                          was, now));
    auto fresh = start_;
    fresh.environment.unprivileged_port_start = now;
    ruleset_->want(fresh.config, fresh.environment);
    apply(std::move(fresh));
}

void Daemon::name_other_versions(TimePoint now) {
    for (const auto& [peer, spoken] : peers_.take_other_versions(now))
        log_.warning(fmt::format("peer {} speaks version {} of ident, and this ubfd version {}: "
                                 "what begins between them is refused as other-version on both; "
                                 "upgrade the older one",
                                 to_string(peer), spoken, ident::version));
}

void Daemon::name_other_clocks(TimePoint now) {
    constexpr std::size_t few = 3; // if more clocks differ, ours is the wrong one
    const auto others = peers_.take_other_clocks(now);
    const auto seconds = [](std::chrono::milliseconds ahead) {
        return std::chrono::round<std::chrono::seconds>(std::chrono::abs(ahead)).count();
    };
    if (others.size() > few) {
        const auto& [peer, ahead] = others.front();
        log_.warning(fmt::format("this node's clock differs from those of {} peers, by {} s from "
                                 "that of {}: connections are judged all the same, but lines in "
                                 "the logs don't match; set it by NTP",
                                 others.size(), seconds(ahead), to_string(peer)));
        return;
    }
    for (const auto& [peer, ahead] : others)
        log_.warning(fmt::format("the clock of peer {} is {} s {} this node's: connections are "
                                 "judged all the same, but lines in the logs don't match; set the "
                                 "clocks of both by NTP",
                                 to_string(peer), seconds(ahead),
                                 ahead.count() > 0 ? "ahead of" : "behind"));
}

void Daemon::name_unknown() {
    for (const auto& name : start_.config.unknown_names)
        log_.warning(fmt::format("{}; until then it is nobody, and is asked for again", name));
    if (start_.config.ignores_unknown_group)
        log_.warning("policy.ignored_groups has a group that is not known: until it is, no group "
                     "is a reason to allow");
}

// The user database may be up by now. It may also be slow, so another thread asks it.
void Daemon::ask_for_names(TimePoint now) {
    constexpr std::chrono::seconds pause{30};
    if (names_) {
        if (names_->wait_for(std::chrono::seconds(0)) != std::future_status::ready)
            return;
        auto config = std::exchange(names_, std::nullopt)->get();
        const auto& old = start_.config;
        if (config.text != old.text || config.unknown_names.size() >= old.unknown_names.size())
            return;
        log_.info(fmt::format("the user database knows {} more names of the configuration",
                              old.unknown_names.size() - config.unknown_names.size()));
        try {
            auto fresh = prepare(std::move(config));
            fresh.environment = start_.environment;
            apply(std::move(fresh));
        } catch (const std::exception& error) {
            log_.error(fmt::format("these names still are nobody: {}", error.what()));
        }
    } else if (!start_.config.unknown_names.empty() && now - names_asked_ >= pause) {
        names_asked_ = now;
        std::promise<Config> promise;
        names_ = promise.get_future();
        std::thread([promise = std::move(promise), text = start_.config.text,
                     file = options_.config_file.string()]() mutable {
            enter_thread("names");
            Config config;
            try {
                config = parse_config(text, file, Names::look_up_or_list);
            } catch (const std::exception&) { // the text was good, so memory has run out
            }
            promise.set_value(std::move(config));
        }).detach();
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
