// `ubfctl status`: everything that is counted, on one page.
#include "daemon/daemon.hpp"

#include "base/interfaces.hpp"
#include "daemon/gate/queue_table.hpp"
#include "daemon/host.hpp"

#include <algorithm>
#include <fmt/chrono.h>
#include <functional>
#include <numeric>

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

Json to_json(const std::vector<PeerTable::Peer>& peers) {
    auto json = Json::array();
    for (const auto& peer : peers)
        json.push_back({{"address", to_string(peer.address)},
                        {"questions", peer.questions},
                        {"answers", peer.answers},
                        {"timeouts", peer.timeouts},
                        {"silent", peer.silent},
                        {"answer_us", {{"p50", peer.p50.count()}, {"p99", peer.p99.count()}}}});
    return json;
}

// Shows only ids of keys, which reveal nothing of the keys, but show whether every node has the new
// one.
Json to_json(const KeyRing& keys) {
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
            {"repeated", counts[UBF_COUNT_REPEATED]},
            {"no_listener", counts[UBF_COUNT_NO_LISTENER]},
            {"astray", counts[UBF_COUNT_ASTRAY]}};
}

} // namespace

std::size_t Daemon::flows_remembered() const {
    return std::transform_reduce(workers_.begin(), workers_.end(), std::size_t{0}, std::plus<>(),
                                 [](const auto& worker) { return worker->flows(); });
}

Json Daemon::status(bool all_peers) {
    ruleset_->look(Clock::now()); // an administrator may just have changed it
    auto queues = Json::array();
    const auto kernel = kernel_queues();
    for (const auto& worker : workers_) {
        const auto& queue = worker->queue();
        const auto found = kernel.find(queue.number());
        const auto seen = found == kernel.end() ? KernelQueue{} : found->second;
        queues.push_back({{"number", queue.number()},
                          {"length", start_.config.queue.length},
                          {"waiting", seen.waiting},
                          {"full_drops", seen.full_drops},
                          {"socket_drops", seen.socket_drops},
                          {"packets", queue.packets()}});
    }

    Json rules = Json::object();
    if (const auto counters = ruleset_->installer().counters())
        for (const auto& [id, counter] : *counters)
            rules[id] = {{"packets", counter.packets}, {"bytes", counter.bytes}};

    auto peers = peers_.list();
    const auto asked = peers.size();
    const auto silent = std::ranges::count(peers, true, &PeerTable::Peer::silent);
    if (!all_peers)
        peers = worst(std::move(peers), most_peers);

    auto still = Json::array();
    for (const auto& [thread, since] : life_.threads().still(Clock::now()))
        still.push_back({{"name", thread->name()},
                         {"seconds", since.count()},
                         {"waits_for", thread->waits_for()}});

    auto doubts = host_warnings();
    for (auto& warning : warnings(start_.config))
        doubts.push_back(std::move(warning));
    for (auto& warning : surroundings_.warnings())
        doubts.push_back(std::move(warning));

    const auto rdma = rdma_->status();
    const auto uptime = std::chrono::duration_cast<std::chrono::seconds>(Clock::now() - started_);
    return {{"ok", true},
            {"version", UBF_VERSION},
            {"since", fmt::format("{:%Y-%m-%dT%H:%M:%SZ}",
                                  std::chrono::floor<std::chrono::seconds>(since_))},
            {"uptime_s", uptime.count()},
            {"queues", queues},
            {"configuration",
             {{"file", options_.config_file.string()},
              {"holds", mistake_.empty()},
              {"mistake", mistake_}}},
            {"queue_rule", nft::to_string(start_.environment.queue_expression)},
            {"ruleset",
             {{"managed", ruleset_->managed()},
              {"owned", ruleset_->owned()},
              {"state", to_string(ruleset_->state())},
              {"repairs", ruleset_->repairs()},
              {"connections_undecided", counters_.connections_undecided.read()},
              {"missing", ruleset_->missing()}}},
            {"interfaces", interfaces(start_.config.scope.interfaces)},
            {"others", surroundings_.others()},
            {"kernel", rules},
            {"threads",
             {{"number", life_.threads().size() + 1},
              {"standing_still", still},
              {"stalls", life_.threads().stalls()}}},
            {"actions", actions(counters_.verdicts)},
            {"reasons", to_json(counters_.verdicts)},
            {"owner_methods", to_json(counters_.methods)},
            {"owner_records", records_.state()},
            {"recognition", to_json(recognition_)},
            {"udp_receivers", udp_receivers_.state()},
            {"searches_refused", counters_.searches_refused.read()},
            {"verdicts_in_kernel",
             {{"udp", udp_flows_.size(Keeper::ethernet)},
              {"fabric_udp", udp_flows_.size(Keeper::fabric)},
              {"denied", udp_flows_.size(Keeper::denied)},
              {"exempt_listeners", exempt_listeners_.size()},
              {"full", counters_.sets_full.read()}}},
            {"flows_remembered", flows_remembered()},
            {"flows_not_remembered", counters_.flows_not_remembered.read()},
            {"flows_ended", counters_.flows_ended.read()},
            {"flows_not_ended", counters_.flows_not_ended.read()},
            {"labels",
             {{"found", to_json(counters_.labels)},
              {"unknown", counters_.labels_unknown.read()},
              {"contradicted", counters_.levels_contradicted.read()}}},
            {"jobs",
             {{"running", job_table_.size()},
              {"begun", counters_.jobs_begun.read()},
              {"ended", counters_.jobs_ended.read()},
              {"vanished", counters_.jobs_vanished.read()},
              {"refused", counters_.jobs_refused.read()}}},
            {"rdma",
             {{"state", rdma.state},
              {"cm_ids", rdma.cm_ids},
              {"connections", rdma.connections},
              {"seen", counters_.rdma_seen.read()},
              {"allowed", counters_.rdma_allowed.read()},
              {"denied", counters_.rdma_denied.read()},
              {"no_answer", counters_.rdma_no_answer.read()},
              {"ended", counters_.rdma_ended.read()},
              {"not_ended", counters_.rdma_not_ended.read()},
              {"queue_pairs_not_attributable", rdma.queue_pairs},
              {"cm_ids_not_attributable", rdma.foreign}}},
            {"ident",
             {{"keys", to_json(start_.rules->terms->keys)},
              {"questions", counters_.questions.read()},
              {"retransmissions", counters_.retransmissions.read()},
              {"answers", counters_.answers.read()},
              {"answers_busy", counters_.answers_busy.read()},
              {"answered", counters_.answered.read()},
              {"answered_busy", counters_.answered_busy.read()},
              {"no_evidence", counters_.no_evidence.read()},
              {"not_sent", counters_.not_sent.read()},
              {"gone_sent", counters_.gone_sent.read()},
              {"gone_received", counters_.gone_received.read()},
              {"told_forgotten", counters_.told_forgotten.read()},
              {"rejected", to_json(counters_.rejections)}}},
            {"peers_asked", asked},
            {"peers_silent", silent},
            {"peers", to_json(peers)},
            {"packets_gone", counters_.packets_gone.read()},
            {"verdict_errors", counters_.verdict_errors.read()},
            {"warnings", doubts},
            {"messages_lost", counters_.messages_lost.read()},
            {"notices_lost", counters_.notices_lost.read()},
            {"log",
             {{"written", counters_.log_written.read()},
              {"folded", counters_.log_folded.read()},
              {"over_share", counters_.log_over_share.read()},
              {"lost", counters_.log_lost.read()}}}};
}

} // namespace ubf
