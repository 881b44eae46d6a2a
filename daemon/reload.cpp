// The part of the daemon that changes while it runs: by a reload, and by what the node is.
#include "daemon/daemon.hpp"

#include "base/json.hpp"
#include "base/replace_file.hpp"
#include "nft/probe.hpp"

#include <algorithm>
#include <exception>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <systemd/sd-daemon.h>
#include <utility>

namespace ubf {

// All or nothing: if the file can't be loaded, the old configuration stays.
std::optional<std::string> Daemon::reload() {
    ::sd_notify(0, "RELOADING=1");
    mistake_.clear();
    try {
        auto fresh = with_exceptions(prepare(load_config(options_.config_file)), exceptions_.all());
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
    if (const auto error =
            replace_file(options_.last_good, start_.config.source.text, Durable::yes))
        log_.warning(fmt::format("the next start could not fall back on this configuration: {}: "
                                 "can't be written: {}",
                                 options_.last_good.string(), error.message()));
}

void Daemon::apply(Start fresh) {
    const bool otherwise = !decide_alike(start_.config, fresh.config) ||
                           start_.rules->ethernet.policy != fresh.rules->ethernet.policy;
    const bool relabelled = !start_.config.labels.same_sources(fresh.config.labels);
    start_ = std::move(fresh);
    recognition_.pause();
    udp_receivers_.observe(start_.config.observed.all);
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
    explainer_->set_rules(start_.rules, watched_scope(start_.config, start_.environment));
    undecided_->set_scope(watched_scope(start_.config, start_.environment),
                          ruleset_->state() == RulesetKeeper::State::installed);
    begin_recognition();
    if (otherwise)
        undecided_->judge_recognised(Clock::now());
}

// The exceptions are others than before.
void Daemon::apply_exceptions() {
    if (const auto mistake = exceptions_.save())
        log_.warning(*mistake);
    apply(with_exceptions(start_, exceptions_.all()));
}

void Daemon::end_exceptions() {
    const auto expired = exceptions_.take_expired(std::chrono::system_clock::now());
    for (const auto& item : expired)
        log_.info(
            fmt::format("the exception '{}' is over, and flows that it let in end", item.text));
    if (!expired.empty())
        apply_exceptions();
}

// "for_s" seconds from now, or "remove"; or the list alone.
ControlServer::Json Daemon::allow(const ControlServer::Json& request) {
    const auto now = std::chrono::system_clock::now();
    const auto text = text_of(request, "allow");
    if (is_set(request, "remove")) {
        if (!exceptions_.remove(text))
            return {{"ok", false},
                    {"error",
                     fmt::format("there is no exception '{}'; 'ubfctl allow' lists them", text)}};
        log_.info(fmt::format("the exception '{}' was removed", text));
        apply_exceptions();
    } else if (!text.empty()) {
        constexpr std::int64_t most = std::int64_t{1} << 32;
        const auto seconds =
            std::clamp(number_of<std::int64_t>(request, "for_s"), std::int64_t{0}, most);
        const auto added = exceptions_.add(text, std::chrono::seconds(seconds), now);
        if (!added)
            return {{"ok", false}, {"error", added.error()}};
        log_.info(fmt::format("the exception '{}' holds for {} s (ubfctl allow)", text, seconds));
        apply_exceptions();
    }
    return {{"ok", true}, {"exceptions", exceptions_.list(now)}};
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

void Daemon::name_unknown() {
    for (const auto& name : start_.config.unknown.names)
        log_.warning(fmt::format("{}; until then it is nobody, and is asked for again", name));
    if (start_.config.unknown.ignored_group)
        log_.warning("policy.ignored_groups has a group that is not known: until it is, no group "
                     "is a reason to allow");
}

// The user database may know more names by now.
void Daemon::ask_for_names(TimePoint now) {
    const auto& old = start_.config;
    auto config = names_.look(old, options_.config_file.string(), now);
    if (!config)
        return;
    log_.info(fmt::format("the user database knows {} more names of the configuration",
                          old.unknown.names.size() - config->unknown.names.size()));
    try {
        auto fresh = with_exceptions(prepare(std::move(*config)), exceptions_.all());
        fresh.environment = start_.environment;
        apply(std::move(fresh));
    } catch (const std::exception& error) {
        log_.error(fmt::format("these names still are nobody: {}", error.what()));
    }
}

} // namespace ubf
