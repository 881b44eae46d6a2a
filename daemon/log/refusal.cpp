#include "daemon/log/refusal.hpp"

#include "base/escape.hpp"
#include "base/json.hpp"
#include "daemon/core/json_flow.hpp"

#include <algorithm>
#include <array>
#include <string_view>

namespace ubf {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::array kinds{OwnerKind::unknown, OwnerKind::user,      OwnerKind::kernel,
                           OwnerKind::outside, OwnerKind::unready,   OwnerKind::unlisted,
                           OwnerKind::shared,  OwnerKind::translated};

Refusal::End end_of(const Owner& owner) {
    Refusal::End end{owner.kind, owner.uid};
    end.via = owner.via;
    if (!owner.credentials)
        return end;
    end.gid = owner.credentials->gid;
    const auto& process = owner.credentials->process;
    end.program = process.comm;
    end.pid = process.pid;
    end.job = process.job;
    return end;
}

std::vector<Gid> groups_of(const Owner& owner) {
    if (!owner.credentials)
        return {};
    auto groups = owner.credentials->groups;
    if (owner.credentials->gid)
        groups.push_back(*owner.credentials->gid);
    std::ranges::sort(groups);
    groups.erase(std::unique(groups.begin(), groups.end()), groups.end());
    return groups;
}

std::int64_t to_ms(Refusal::Time time) {
    return std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch()).count();
}

Refusal::Time time_of(const Json& json, const char* key) {
    constexpr std::int64_t most = std::int64_t{1} << 43; // milliseconds; the year 2248
    const auto ms = std::clamp(number_of<std::int64_t>(json, key), std::int64_t{0}, most);
    return Refusal::Time(std::chrono::milliseconds(ms));
}

Json to_json(const Refusal::End& end) {
    Json json{{"kind", to_string(end.kind)}};
    if (end.kind == OwnerKind::user)
        json["uid"] = value(end.uid);
    if (end.gid)
        json["gid"] = value(*end.gid);
    if (end.pid != Pid{}) {
        json["program"] = escape(end.program);
        json["pid"] = value(end.pid);
    }
    if (end.job != 0)
        json["job"] = end.job;
    if (end.via)
        json["via"] = value(*end.via);
    return json;
}

Refusal::End to_end(const Json& json) {
    Refusal::End end;
    if (!json.is_object())
        return end;
    const auto name = text_of(json, "kind");
    const auto kind = std::ranges::find_if(
        kinds, [&](OwnerKind each) { return to_string(each) == std::string_view(name); });
    if (kind != kinds.end())
        end.kind = *kind;
    end.uid = Uid{number_of<std::uint32_t>(json, "uid")};
    if (json.contains("gid"))
        end.gid = Gid{number_of<std::uint32_t>(json, "gid")};
    end.program = unescape(text_of(json, "program"));
    end.pid = Pid{number_of<std::int32_t>(json, "pid")};
    end.job = number_of<std::uint32_t>(json, "job");
    if (json.contains("via"))
        end.via = Uid{number_of<std::uint32_t>(json, "via")};
    return end;
}

} // namespace

Refusal Refusal::of(const Denial& denial, Time now) {
    Refusal refusal;
    refusal.first = refusal.last = now;
    refusal.flow = denial.flow;
    refusal.reason = denial.reason;
    refusal.ended = denial.ended;
    refusal.observed = denial.observed;
    refusal.told_by = denial.told_by;
    refusal.connector = end_of(denial.connector);
    refusal.listener = end_of(denial.listener);
    const auto theirs = groups_of(denial.connector);
    for (const Gid gid : groups_of(denial.listener))
        if (refusal.common.size() < most_groups && std::ranges::binary_search(theirs, gid))
            refusal.common.push_back(gid);
    refusal.labels = denial.labels;
    refusal.person = denial.person;
    return refusal;
}

Json to_json(const Refusal& refusal) {
    Json json{{"id", refusal.id},
              {"first_ms", to_ms(refusal.first)},
              {"last_ms", to_ms(refusal.last)},
              {"count", refusal.count},
              {"protocol", to_string(refusal.flow.protocol)},
              {"from", to_string(refusal.flow.source)},
              {"to", to_string(refusal.flow.destination)},
              {"reason", to_string(refusal.reason)},
              {"ended", refusal.ended},
              {"observed", refusal.observed},
              {"connector", to_json(refusal.connector)},
              {"listener", to_json(refusal.listener)}};
    if (refusal.told_by)
        json["told_by"] = to_string(*refusal.told_by);
    auto common = Json::array();
    for (const Gid gid : refusal.common)
        common.push_back(value(gid));
    json["common_groups"] = std::move(common);
    if (!refusal.labels.empty())
        json["labels"] = escape(refusal.labels);
    return json;
}

Json to_file_json(const Refusal& refusal) {
    auto json = to_json(refusal);
    if (refusal.person)
        json["person"] = value(*refusal.person);
    return json;
}

std::optional<Refusal> to_refusal(const Json& json) {
    if (!json.is_object())
        return std::nullopt;
    const auto flow = flow_in(json);
    const auto reason = parse_reason(text_of(json, "reason"));
    if (!flow || !reason)
        return std::nullopt;
    Refusal refusal;
    refusal.flow = *flow;
    refusal.reason = *reason;
    refusal.id = number_of<std::uint32_t>(json, "id");
    refusal.first = time_of(json, "first_ms");
    refusal.last = time_of(json, "last_ms");
    refusal.count = std::max(number_of<std::uint64_t>(json, "count"), std::uint64_t{1});
    refusal.ended = is_set(json, "ended");
    refusal.observed = is_set(json, "observed");
    refusal.told_by = Address::parse(text_of(json, "told_by"));
    refusal.connector = to_end(json.value("connector", Json()));
    refusal.listener = to_end(json.value("listener", Json()));
    for (const auto& gid : json.value("common_groups", Json::array()))
        if (gid.is_number_integer() && refusal.common.size() < Refusal::most_groups)
            refusal.common.push_back(Gid{gid.get<std::uint32_t>()});
    refusal.labels = unescape(text_of(json, "labels"));
    if (json.contains("person"))
        refusal.person = Uid{number_of<std::uint32_t>(json, "person")};
    return refusal;
}

} // namespace ubf
