#include "daemon/control/flows.hpp"

#include "daemon/control/request.hpp"

#include <algorithm>
#include <iterator>

namespace ubf {
namespace {

using Json = ControlServer::Json;

Json to_json(const Party& party) {
    Json json{{"kind", to_string(party.kind)}};
    if (party.kind == OwnerKind::user)
        json["uid"] = value(party.uid);
    return json;
}

Json to_json(const AllowedFlow& allowed, TimePoint now) {
    const auto flow = allowed.from_connector();
    auto connector = to_json(allowed.connector);
    if (allowed.via != Uid{})
        connector["via"] = value(allowed.via);
    return {
        {"protocol", to_string(flow.protocol)},
        {"from", to_string(flow.source)},
        {"to", to_string(flow.destination)},
        {"reason", to_string(allowed.reason)},
        {"connector", connector},
        {"listener", to_json(allowed.listener)},
        {"age_s", std::chrono::duration_cast<std::chrono::seconds>(now - allowed.since).count()}};
}

} // namespace

FlowDesk::FlowDesk(EventLoop& loop, const Workers& workers)
  : workers_(workers) {
    loop.watch(mailbox_.fd(), [this] { mailbox_.run(); });
}

void FlowDesk::list(const Json& request, const ControlServer::Reply& reply) {
    begin(Kind::list, request, reply);
}

void FlowDesk::revoke(const Json& request, const ControlServer::Reply& reply) {
    begin(Kind::revoke, request, reply);
}

void FlowDesk::begin(Kind kind, const Json& request, const ControlServer::Reply& reply) {
    const auto filter = filter_of(request);
    if (!filter)
        return reply({{"ok", false}, {"error", filter.error()}});
    const bool fits_all = !filter->user && !filter->reason && !filter->flow;
    if (kind == Kind::revoke && fits_all && request.value("all", Json()) != true)
        return reply({{"ok", false}, {"error", "revoke which flows? Name them, or say all"}});
    if (requests_.size() >= most_requests)
        return reply({{"ok", false},
                      {"error", "too many ask for flows at once; try again in some seconds"}});
    const auto number = ++last_number_;
    requests_.emplace(number, Request{kind, reply, Clock::now() + patience, workers_.size()});
    const FlowWalks::Done done = [this, number](FlowWalks::Result result) {
        mailbox_.post([this, number, result = std::move(result)] { add(number, result); });
    };
    for (const auto& worker : workers_) {
        if (kind == Kind::list)
            worker->list(*filter, most_rows, done);
        else
            worker->revoke(*filter, done);
    }
}

void FlowDesk::add(std::uint64_t number, FlowWalks::Result result) {
    const auto found = requests_.find(number);
    if (found == requests_.end())
        return; // it was answered without
    auto& request = found->second;
    auto& sum = request.sum;
    const auto room = most_rows - sum.flows.size();
    sum.truncated |= result.truncated || result.flows.size() > room;
    result.flows.resize(std::min(result.flows.size(), room));
    std::move(result.flows.begin(), result.flows.end(), std::back_inserter(sum.flows));
    sum.ended += result.ended;
    sum.not_ended += result.not_ended;
    if (--request.missing > 0)
        return;
    answer(request);
    requests_.erase(found);
}

std::optional<TimePoint> FlowDesk::next() const {
    if (requests_.empty())
        return std::nullopt;
    return requests_.begin()->second.deadline;
}

void FlowDesk::on_time(TimePoint now) {
    while (!requests_.empty() && requests_.begin()->second.deadline <= now) {
        answer(requests_.begin()->second);
        requests_.erase(requests_.begin());
    }
}

void FlowDesk::answer(Request& request) {
    Json json{{"ok", true}};
    if (request.kind == Kind::list) {
        auto rows = Json::array();
        const auto now = Clock::now();
        for (const auto& allowed : request.sum.flows)
            rows.push_back(to_json(allowed, now));
        json["flows"] = std::move(rows);
        json["truncated"] = request.sum.truncated;
    } else {
        json["ended"] = request.sum.ended;
        json["not_ended"] = request.sum.not_ended;
    }
    json["queues_missing"] = request.missing;
    request.reply(json);
}

} // namespace ubf
