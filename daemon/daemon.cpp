#include "daemon/daemon.hpp"

#include "base/descriptor_names.hpp"
#include "daemon/core/thread.hpp"
#include "daemon/host.hpp"
#include "daemon/peer_news.hpp"

#include <algorithm>
#include <chrono>
#include <fmt/format.h>
#include <linux/capability.h>
#include <systemd/sd-daemon.h>
#include <utility>

namespace ubf {
namespace {

void name_unknown(const Config::Unknown& unknown, Log& log) {
    for (const auto& name : unknown.names)
        log.warning(fmt::format("{}; until then it is nobody, and is asked for again", name));
    if (unknown.ignored_group)
        log.warning("policy.ignored_groups has a group that is not known: until it is, no group "
                    "is a reason to allow");
}

} // namespace

Daemon::Daemon(Options options, Config config, DescriptorStore& store)
  : store_(store)
  , settings_(std::move(options), std::move(config))
  , owners_(settings_.config(), counters_)
  , log_(settings_.config().log, owners_.users(), counters_.log)
  , verdicts_(settings_.config(), settings_.scope(), owners_.cgroups().v2_fd(), store_, counters_)
  , recognition_(settings_.config().owners.recognise, owners_.cgroups().v2_fd(),
                 {store_.take(descriptor::stamp), store_.take(descriptor::arrive)},
                 verdicts_.table())
  , ident_(owners_, verdicts_, log_, counters_) {
    // They were for loading BPF programs, which is done. (Root's CAP_SYS_ADMIN implies the others.)
    give_up({CAP_BPF, CAP_PERFMON, CAP_SYS_ADMIN});

    try {
        begin();
    } catch (...) {
        stop();
        throw;
    }
}

Daemon::~Daemon() {
    stop();
}

void Daemon::begin() {
    if (store_.had_any())
        ident_.peers().forgive_until(Clock::now() + PeerTable::patience);

    // The queues come first: if another ubfd runs here, they can't be opened, and nothing was
    // changed.
    auto queues = open_queues();
    begin_memory();
    ident_.begin(settings_, store_.take(descriptor::ident), main_.loop());
    begin_gates(std::move(queues));
    begin_control();
    install_ruleset();
}

void Daemon::stop() {
    desks_.reset();
    log_.refusals().on_new({});
    gates_.stop();
    if (rdma_)
        rdma_->stop();
    // Other threads may still call these, and must find them stopped, but not gone.
    owners_.stop();
    verdicts_.stop();
    ident_.stop();
    gates_.clear();
}

void Daemon::run() {
    say_how_it_begins();
    if (!lock_memory())
        log_.warning("memory is not locked: raise LimitMEMLOCK of the unit");
    keep_descriptors();
    ::sd_notify(0, "READY=1");

    watch_threads();
    auto& explainer = desks_->explainer();
    auto& portals = desks_->portals();
    auto next_look = Clock::now();
    while (!main_.is_ending()) {
        const auto now = Clock::now();
        life_.beat(now);
        if (now >= next_look) {
            look(now);
            next_look = now + std::chrono::milliseconds(500);
        }
        main_.loop().run_once(
            std::min({explainer.next().value_or(next_look), portals.next().value_or(next_look),
                      gates_.next().value_or(next_look), next_look}));
        explainer.on_time(Clock::now());
        portals.on_time(Clock::now());
        gates_.on_time(Clock::now());
    }
    end();
}

void Daemon::say_how_it_begins() {
    const auto& config = settings_.config();
    const auto& queue = config.queue;
    log_.info(fmt::format("ready: queues {} to {}, ident on udp {}, {} peer ranges, {}",
                          queue.first, queue.first + queue.count - 1, config.ident.port,
                          config.peers.ranges.size(),
                          nft::to_string(settings_.environment().queue_expression)));
    log_.info(fmt::format("the kernel's records of owners: {}", owners_.records().state()));
    log_.info(fmt::format("recognition of one user's connections: {}", recognition_.state()));
    name_credential();
    const auto& options = settings_.options();
    if (settings_.mistake().empty())
        keep_as_last_good();
    else
        log_.error(fmt::format("NOT THE CONFIGURATION OF {}, but the last good one, {}, holds "
                               "until that is mended and 'systemctl reload ubfd' is done: {}",
                               options.config_file.string(), options.last_good.string(),
                               settings_.mistake()));
    for (const auto& warning : host_warnings(config.labels.state_directory))
        log_.warning(warning);
    name_unknown(config.unknown, log_);
    for (const auto& warning : warnings(config))
        log_.warning(warning);
}

// Twice a second.
void Daemon::look(TimePoint now) {
    follow_sysctl();
    ask_for_names(now);
    follow_roster();
    desks_->exceptions().look();
    ruleset_->look(now);
    surroundings_.look(settings_.config(), now);
    for (const Uid uid : surroundings_.newly_over_limit(now))
        log_.warning(
            fmt::format("{} begins connections or UDP flows faster than [limits] allows; "
                        "the kernel {}",
                        owners_.users().name(uid),
                        settings_.config().limits.refuse
                            ? "refuses those that are too many"
                            : "drops those that are too many, which delays TCP by a second "
                              "or more"));
    recognition_.look(now);
    for (const auto& line : peer_news(ident_.peers(), now))
        log_.warning(line);
    for (auto& [is_error, text] : life_.look(now))
        is_error ? log_.error(std::move(text)) : log_.warning(std::move(text));
    life_.show(now, [this] { return summary(); });
    owners_.jobs().look(now);
    if (const auto mistake = log_.refusals().look(now))
        log_.warning(*mistake);
}

void Daemon::end() {
    log_.watch(nullptr);
    ::sd_notify(0, "STOPPING=1");
    if (const auto mistake = log_.refusals().look(Clock::now(), true))
        log_.warning(*mistake);
    if (settings_.options().leave_ruleset || settings_.config().ruleset.keep_on_stop) {
        gates_.stop();
        log_.info("stopped; the ruleset stays and refuses new flows");
        return;
    }
    ruleset_->remove();
    log_.info("stopped; the ruleset is removed");
}

// This thread watches all others, and the log's thread watches this one.
void Daemon::watch_threads() {
    gates_.watch(life_);
    ident_.watch(life_);
    verdicts_.watch(life_);
    life_.watch(rdma_->heartbeat());
    owners_.watch(life_);
    life_.watch(log_.heartbeat());
    life_.beat(Clock::now());
    log_.watch(&life_.heartbeat());
}

// One line for `systemctl status`.
std::string Daemon::summary() const {
    const ActionSums sums(counters_.gate.verdicts);
    const auto silent = std::ranges::count_if(ident_.peers().list(), &PeerTable::Peer::silent);
    return fmt::format("ruleset {}; allowed {}, denied {}, dropped {}; {} peers silent",
                       to_string(ruleset_->state()), sums[Action::allow], sums[Action::deny],
                       sums[Action::drop], silent);
}

} // namespace ubf
