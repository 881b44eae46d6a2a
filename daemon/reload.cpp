// The part of the daemon that changes while it runs: by a reload, and by what the node is.
#include "daemon/daemon.hpp"

#include "config/key_file.hpp"
#include "identity/armour.hpp"
#include "identity/grant.hpp"
#include "nft/probe.hpp"
#include "nft/verdict_sets.hpp"

#include <exception>
#include <fmt/format.h>
#include <systemd/sd-daemon.h>
#include <utility>

namespace ubf {

// All or nothing: if the file can't be loaded, the old configuration stays.
std::optional<std::string> Daemon::reload(Loading::Loaded loaded) {
    ::sd_notify(0, "RELOADING=1");
    std::string mistake;
    try {
        if (!loaded)
            throw ConfigError(loaded.error());
        auto fresh = settings_.next(std::move(*loaded));
        ruleset_->replace(fresh.config, fresh.environment);
        apply(std::move(fresh));
        for (const auto& warning : warnings(settings_.config()))
            log_.warning(warning);
        log_.info(fmt::format("reloaded {}", settings_.options().config_file.string()));
        name_credential();
        keep_as_last_good();
    } catch (const std::exception& error) {
        mistake = error.what();
        log_.error(fmt::format("not reloaded, the old configuration stays: {}", mistake));
    }
    settings_.note_mistake(mistake);
    ::sd_notify(0, "READY=1");
    return mistake.empty() ? std::nullopt : std::optional(mistake);
}

// systemd reads the credentials of a service at its start only.
void Daemon::name_credential() {
    const auto& config = settings_.config();
    if (!config.ident.require_certificates && key_file(config, own_credentials()).is_credential)
        log_.info("the key is the credential ident.key, as of this start: another key takes a "
                  "restart, not a reload");
}

void Daemon::keep_as_last_good() {
    if (const auto mistake = settings_.keep_as_last_good())
        log_.warning(
            fmt::format("the next start could not fall back on this configuration: {}", *mistake));
}

void Daemon::apply(Start fresh) {
    const auto& old = settings_.start();
    const bool otherwise = !decide_alike(old.config, fresh.config) ||
                           old.rules->ethernet.policy != fresh.rules->ethernet.policy;
    if (old.config.limits != fresh.config.limits && fresh.config.limits.any())
        nft::VerdictSets(verdicts_.table()).clear_limited(); // or a count goes on by its old limit
    const bool relabelled = !old.config.labels.same_sources(fresh.config.labels);
    settings_.hold(std::move(fresh));
    const auto& config = settings_.config();
    const auto& rules = settings_.rules();
    recognition_.pause();
    verdicts_.set(config, settings_.scope());
    surroundings_.look_again();
    owners_.set_sources(config);
    gates_.set_rules(rules, otherwise);
    rdma_->set_rules(rdma_rules(config, *rules));
    ident_.set_terms(*rules);
    follow_grants();
    if (relabelled && config.labels.end_flows)
        ident_.withdraw_all();
    desks_->explainer().set_rules(rules, settings_.scope());
    desks_->portals().set(config, rules, settings_.scope());
    gates_.undecided().set_scope(settings_.scope(),
                                 ruleset_->state() == RulesetKeeper::State::installed);
    begin_recognition();
    if (otherwise)
        gates_.undecided().judge_recognised(Clock::now());
}

// The labels of this user's processes changed. All that was found of them is forgotten first. Then
// the flows that these labels allowed are decided again, here and at the peers that were told.
void Daemon::relabel(Uid uid) {
    follow_grants();
    owners_.investigator().forget(uid);
    if (!settings_.config().labels.end_flows)
        return;
    gates_.reconsider(uid);
    rdma_->reconsider(uid);
    ident_.withdraw(uid);
}

// The first port that users can bind is a setting of the node, and may change while we run.
void Daemon::follow_sysctl() {
    const auto was = settings_.environment().unprivileged_port_start;
    const auto now = nft::read_environment(settings_.config()).unprivileged_port_start;
    if (now == was)
        return;
    log_.info(fmt::format("net.ipv4.ip_unprivileged_port_start was {} and is {}: the ruleset must "
                          "follow",
                          was, now));
    auto fresh = settings_.start();
    fresh.environment.unprivileged_port_start = now;
    ruleset_->want(fresh.config, fresh.environment);
    apply(std::move(fresh));
}

// Flows that the word of a node allowed are decided again: its certificate may be revoked.
void Daemon::follow_roster() {
    const auto look = settings_.look_at_roster();
    if (look.news == RosterFile::News::bad)
        log_.error(fmt::format("the roster that was read before stays: {}", look.mistake));
    if (look.news != RosterFile::News::changed)
        return;
    begin_pairs();
    const auto& rules = settings_.rules();
    const auto roster = rules->terms->identities->roster();
    log_.info(fmt::format("roster {}: {} certificates, {} revoked", roster->number(),
                          roster->certificates().size(), roster->revoked().size()));
    gates_.set_rules(rules, true);
    rdma_->set_rules(rdma_rules(settings_.config(), *rules));
    gates_.undecided().judge_recognised(Clock::now());
}

// The grants of the jobs here go along with answers about their users.
void Daemon::follow_grants() {
    const auto& identities = settings_.rules()->terms->identities;
    if (!identities)
        return;
    ident::GrantBook::Own grants;
    for (const auto& job : owners_.all_jobs())
        if (const auto bytes =
                identity::unarmour(identity::Kind::grant, job->grant, identity::max_grant))
            grants[job->uid].push_back(*bytes);
    identities->set_grants(std::move(grants));
}

// The user database may know more names by now.
void Daemon::ask_for_names(TimePoint now) {
    auto config = settings_.look_for_names(now);
    if (!config)
        return;
    const auto& old = settings_.config();
    if (old.slurm.is_bad() && !config->slurm.is_bad())
        log_.info(fmt::format("{} is good by now, and holds", old.slurm.conf.string()));
    else
        log_.info(fmt::format("the user database knows {} more names of the configuration",
                              old.unknown.names.size() - config->unknown.names.size()));
    try {
        auto fresh = settings_.with_names(std::move(*config));
        ruleset_->want(fresh.config, fresh.environment); // Slurm's hosts are in it
        apply(std::move(fresh));
    } catch (const std::exception& error) {
        log_.error(fmt::format("these names still are nobody: {}", error.what()));
    }
}

} // namespace ubf
