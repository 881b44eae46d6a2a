// `ubfctl status`: everything that is counted, on one page.
#include "daemon/daemon.hpp"

#include "base/interfaces.hpp"
#include "base/version.hpp"
#include "daemon/host.hpp"
#include "netlink/queue_table.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <fmt/chrono.h>

namespace ubf {
namespace {

using Json = ControlServer::Json;

template<typename Enum>
Json to_json(const Counts<Enum>& counts) {
    Json json = Json::object();
    counts.each(
        [&](Enum which, std::uint64_t count) { json[std::string(to_string(which))] = count; });
    return json;
}

Json actions(const Counts<Reason>& reasons) {
    const ActionSums sums(reasons);
    Json json = Json::object();
    for (std::size_t i = 0; i < static_cast<std::size_t>(Action::count_); ++i)
        json[std::string(to_string(static_cast<Action>(i)))] = sums[static_cast<Action>(i)];
    return json;
}

Json interfaces(const WatchedInterfaces& scope) {
    Json json{{"watched", Json::array()}, {"unwatched", Json::array()}};
    for (const auto& name : interface_names())
        json[scope.watches(name) ? "watched" : "unwatched"].push_back(name);
    return json;
}

// The peers on the page without --peers, which lists all: there may be thousands.
constexpr std::size_t most_peers = 20;

// How a peer was proven last.
std::string proof(const ident::Terms& terms, const PeerTable::Peer& peer) {
    const auto proof =
        terms.identities ? terms.identities->proof(peer.address) : ident::Identities::Proof{};
    if (proof.by_certificate)
        return fmt::format("certificate {} of {} ({})", static_cast<std::uint64_t>(proof.serial),
                           proof.name, proof.node_class);
    const bool required = terms.identities && terms.identities->own().required;
    return required || peer.answers == 0 ? "none" : "cluster key";
}

Json of_identity(const ident::Terms& terms) {
    if (!terms.identities)
        return {};
    const auto& own = terms.identities->own();
    const auto roster = terms.identities->roster();
    return {{"name", own.says.name},
            {"class", own.says.node_class},
            {"serial", static_cast<std::uint64_t>(own.says.serial)},
            {"until", own.says.valid.until.count()},
            {"roster",
             {{"number", roster->number()},
              {"certificates", roster->certificates().size()},
              {"revoked", roster->revoked().size()}}},
            {"required", own.required}};
}

Json to_json(const std::vector<PeerTable::Peer>& peers, const ident::Terms& terms) {
    auto json = Json::array();
    for (const auto& peer : peers)
        json.push_back({{"address", to_string(peer.address)},
                        {"questions", peer.questions},
                        {"answers", peer.answers},
                        {"timeouts", peer.timeouts},
                        {"silent", peer.silent},
                        {"proof", proof(terms, peer)},
                        {"clock_ahead_ms", peer.clock_ahead.count()},
                        {"answer_us", {{"p50", peer.p50.count()}, {"p99", peer.p99.count()}}}});
    return json;
}

// Shows only ids of keys, which reveal nothing of the keys, but show whether every node has the new
// one. Empty, if no cluster key counts.
Json keys_of(const ident::Terms& terms) {
    const auto& keys = terms.keys;
    if (terms.identities && terms.identities->own().required)
        return Json::object();
    Json json{{"signs", fmt::format("{:08x}", keys.current.id())}};
    if (keys.previous)
        json["accepted"] = fmt::format("{:08x}", keys.previous->id());
    return json;
}

Json to_json(const Recognition& recognition) {
    const auto counts = recognition.counts();
    return {{"state", recognition.state()},
            {"interfaces", recognition.interfaces()},
            {"stamped", counts[UBF_COUNT_STAMPED]},
            {"recognised", counts[UBF_COUNT_RECOGNISED]},
            {"unstamped", counts[UBF_COUNT_UNSTAMPED]},
            {"foreign_key", counts[UBF_COUNT_FOREIGN_KEY]},
            {"other_time", counts[UBF_COUNT_OTHER_TIME]},
            {"unfit", counts[UBF_COUNT_UNFIT]},
            {"unvouched", counts[UBF_COUNT_UNVOUCHED]},
            {"repeated", counts[UBF_COUNT_REPEATED]},
            {"no_listener", counts[UBF_COUNT_NO_LISTENER]},
            {"astray", counts[UBF_COUNT_ASTRAY]}};
}

Json queues(const std::vector<std::unique_ptr<Worker>>& workers, std::uint32_t length) {
    auto json = Json::array();
    const auto kernel = kernel_queues();
    for (const auto& worker : workers) {
        const auto& queue = worker->queue();
        const auto found = kernel.find(queue.number());
        const auto seen = found == kernel.end() ? KernelQueue{} : found->second;
        json.push_back({{"number", queue.number()},
                        {"length", length},
                        {"waiting", seen.waiting},
                        {"full_drops", seen.full_drops},
                        {"socket_drops", seen.socket_drops},
                        {"packets", queue.packets()}});
    }
    return json;
}

Json rule_counters(nft::Installer& installer) {
    Json json = Json::object();
    if (const auto counters = installer.counters())
        for (const auto& [id, counter] : *counters)
            json[id] = {{"packets", counter.packets}, {"bytes", counter.bytes}};
    return json;
}

Json to_json(const ThreadWatch& threads) {
    auto still = Json::array();
    for (const auto& [thread, since] : threads.still(Clock::now()))
        still.push_back({{"name", thread->name()},
                         {"seconds", since.count()},
                         {"waits_for", thread->waits_for()}});
    return {
        {"number", threads.size() + 1}, {"standing_still", still}, {"stalls", threads.stalls()}};
}

Json to_json(const RdmaDesk::Status& rdma, const RdmaCounters& counters) {
    return {{"state", rdma.state},
            {"cm_ids", rdma.told.cm_ids},
            {"connections", rdma.connections},
            {"seen", counters.seen.read()},
            {"allowed", counters.allowed.read()},
            {"denied", counters.denied.read()},
            {"no_answer", counters.no_answer.read()},
            {"ended", counters.ended.read()},
            {"not_ended", counters.not_ended.read()},
            {"queue_pairs_not_attributable", rdma.told.queue_pairs},
            {"cm_ids_not_attributable", rdma.told.foreign}};
}

Json of_ident(const IdentCounters& counters, const ident::Terms& terms) {
    return {{"keys", keys_of(terms)},
            {"questions", counters.questions.read()},
            {"retransmissions", counters.retransmissions.read()},
            {"answers", counters.answers.read()},
            {"answers_busy", counters.answers_busy.read()},
            {"answered", counters.answered.read()},
            {"answered_busy", counters.answered_busy.read()},
            {"no_evidence", counters.no_evidence.read()},
            {"not_sent", counters.not_sent.read()},
            {"gone_sent", counters.gone.sent.read()},
            {"gone_received", counters.gone.received.read()},
            {"refused_told", counters.refused.told.read()},
            {"refused_heard", counters.refused.heard.read()},
            {"inquiries_asked", counters.inquiries.asked.read()},
            {"inquiries_answered", counters.inquiries.answered.read()},
            {"inquiries_refused", counters.inquiries.refused.read()},
            {"listeners_answered", counters.listeners.answered.read()},
            {"listeners_refused", counters.listeners.refused.read()},
            {"over_share", counters.over_share.read()},
            {"told_forgotten", counters.told_forgotten.read()},
            {"rejected", to_json(counters.rejections)}};
}

Json of_portals(const PortalCounters& counters, std::size_t bound) {
    auto refused = to_json(counters.objected);
    counters.refused.each([&](Reason reason, std::uint64_t count) {
        if (action_of(reason) != Action::allow)
            refused[std::string(to_string(reason))] = count;
    });
    return {{"asked", counters.asked.read()},
            {"allowed", counters.allowed.read()},
            {"refused", refused},
            {"tickets",
             {{"spent", counters.spent.read()},
              {"expired", counters.expired.read()},
              {"evicted", counters.evicted.read()},
              {"missing", counters.missing.read()}}},
            {"connections", bound}};
}

// The sum over the workers.
Json histogram(const std::vector<std::unique_ptr<Worker>>& workers, Histogram DecisionTimes::*way) {
    std::array<std::uint64_t, Histogram::buckets> counts{};
    std::uint64_t sum = 0;
    for (const auto& worker : workers) {
        const auto& times = worker->times().*way;
        for (std::size_t i = 0; i < counts.size(); ++i)
            counts[i] += times.count(i);
        sum += times.sum_us();
    }
    return {{"counts", counts}, {"sum", sum}};
}

Json decision_times(const std::vector<std::unique_ptr<Worker>>& workers) {
    return {{"bounds", Histogram::bounds_us},
            {"queue", histogram(workers, &DecisionTimes::queue)},
            {"asked", histogram(workers, &DecisionTimes::asked)}};
}

Json of_labels(const Counters& counters) {
    return {{"found", to_json(counters.owners.labels)},
            {"unknown", counters.owners.labels_unknown.read()},
            {"contradicted", counters.gate.levels_contradicted.read()}};
}

Json of_jobs(const JobCounters& counters, std::size_t running) {
    return {{"running", running},
            {"begun", counters.begun.read()},
            {"ended", counters.ended.read()},
            {"vanished", counters.vanished.read()},
            {"refused", counters.refused.read()}};
}

Json to_json(const VerdictsInKernel& verdicts, const FlowCounters& counters) {
    const auto& udp = verdicts.udp_flows();
    return {{"udp", udp.size(Keeper::ethernet)},
            {"fabric_udp", udp.size(Keeper::fabric)},
            {"denied", udp.size(Keeper::denied)},
            {"exempt_listeners", verdicts.exempt_listeners().size()},
            {"full", counters.sets_full.read()}};
}

Json of_log(const LogCounters& counters) {
    return {{"written", counters.written.read()},
            {"folded", counters.folded.read()},
            {"over_share", counters.over_share.read()},
            {"lost", counters.lost.read()}};
}

Json over_limit(const std::vector<Uid>& users, UserCache& names) {
    auto json = Json::array();
    for (const Uid uid : users)
        json.push_back({{"uid", value(uid)}, {"name", names.name(uid)}});
    return json;
}

Json to_json(const RulesetKeeper& ruleset, const FlowCounters& counters) {
    return {{"managed", ruleset.managed()},
            {"owned", ruleset.owned()},
            {"state", to_string(ruleset.state())},
            {"repairs", ruleset.repairs()},
            {"connections_undecided", counters.undecided.read()},
            {"missing", ruleset.missing()}};
}

std::vector<std::string> all_warnings(const Config& config, const Surroundings& surroundings) {
    auto all = host_warnings(config.labels.state_directory);
    for (auto& warning : warnings(config))
        all.push_back(std::move(warning));
    for (auto& warning : surroundings.warnings())
        all.push_back(std::move(warning));
    return all;
}

} // namespace

Json Daemon::status(bool all_peers) {
    ruleset_->look(Clock::now()); // an administrator may just have changed it
    auto peers = ident_.peers().list();
    const auto asked = peers.size();
    const auto silent = std::ranges::count(peers, true, &PeerTable::Peer::silent);
    if (!all_peers)
        peers = worst(std::move(peers), most_peers);
    const auto uptime = std::chrono::duration_cast<std::chrono::seconds>(life_.age());
    return {{"ok", true},
            {"version", release()},
            {"since", fmt::format("{:%Y-%m-%dT%H:%M:%SZ}",
                                  std::chrono::floor<std::chrono::seconds>(life_.since()))},
            {"uptime_s", uptime.count()},
            {"queues", queues(gates_.workers(), settings_.config().queue.length)},
            {"configuration",
             {{"file", settings_.options().config_file.string()},
              {"holds", settings_.mistake().empty()},
              {"mistake", settings_.mistake()}}},
            {"queue_rule", nft::to_string(settings_.environment().queue_expression)},
            {"ruleset", to_json(*ruleset_, counters_.flows)},
            {"interfaces", interfaces(settings_.config().scope.interfaces)},
            {"others", surroundings_.others()},
            {"over_limit", over_limit(surroundings_.over_limit(), owners_.users())},
            {"kernel", rule_counters(ruleset_->installer())},
            {"threads", to_json(life_.threads())},
            {"actions", actions(counters_.gate.verdicts)},
            {"reasons", to_json(counters_.gate.verdicts)},
            {"decision_us", decision_times(gates_.workers())},
            {"owner_methods", to_json(counters_.owners.methods)},
            {"owner_records", owners_.records().state()},
            {"recognition", to_json(recognition_)},
            {"udp_receivers", verdicts_.receivers().state()},
            {"udp_senders",
             {{"state", verdicts_.senders().state()}, {"refused", verdicts_.senders().refused()}}},
            {"searches_refused", counters_.owners.searches_refused.read()},
            {"verdicts_in_kernel", to_json(verdicts_, counters_.flows)},
            {"flows_remembered", gates_.flows()},
            {"flows_not_remembered", counters_.flows.not_remembered.read()},
            {"flows_ended", counters_.flows.ended.read()},
            {"flows_not_ended", counters_.flows.not_ended.read()},
            {"labels", of_labels(counters_)},
            {"jobs", of_jobs(counters_.jobs, owners_.running_jobs())},
            {"rdma", to_json(rdma_->status(), counters_.rdma)},
            {"ident", of_ident(counters_.ident, *settings_.rules()->terms)},
            {"portal", of_portals(counters_.portal, owners_.tickets().bound())},
            {"peers_asked", asked},
            {"peers_silent", silent},
            {"peers", to_json(peers, *settings_.rules()->terms)},
            {"identity", of_identity(*settings_.rules()->terms)},
            {"packets_gone", counters_.gate.packets_gone.read()},
            {"verdict_errors", counters_.gate.verdict_errors.read()},
            {"observing",
             {{"all", settings_.config().observed.all},
              {"some", settings_.config().observed.any()},
              {"would_deny", to_json(counters_.gate.would_deny)}}},
            {"refusals_remembered", log_.refusals().size()},
            {"warnings", all_warnings(settings_.config(), surroundings_)},
            {"messages_lost", counters_.gate.messages_lost.read()},
            {"notices_lost", counters_.flows.notices_lost.read()},
            {"log", of_log(counters_.log)}};
}

} // namespace ubf
