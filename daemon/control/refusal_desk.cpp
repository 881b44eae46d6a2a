#include "daemon/control/refusal_desk.hpp"

#include <algorithm>
#include <cstdint>

namespace ubf {
namespace {

using Json = ControlServer::Json;

constexpr std::size_t most_of_all = RefusalMemory::most;
constexpr std::size_t most_of_one = 100; // for its user

bool is_since(const Refusal& refusal, std::int64_t ms) {
    return refusal.last.time_since_epoch() > std::chrono::milliseconds(ms);
}

// The program, job and groups of another user's end are nobody else's business.
void hide(Json& end, bool reveal) {
    for (const char* key : {"program", "pid", "job", "gid"})
        end.erase(key);
    if (!reveal)
        end.erase("uid");
}

Json to_row(Refusal refusal, const Policy& policy) {
    std::erase_if(refusal.common, [&](Gid gid) {
        return !policy.same_group || std::ranges::binary_search(policy.ignored_groups, gid);
    });
    auto row = to_json(refusal);
    row["hint"] = hint(refusal.reason, refusal.listener.is(Uid{0}));
    return row;
}

} // namespace

Json RefusalDesk::list(const Json& request, const Policy& policy) const {
    const auto user = number_of<std::int64_t>(request, "user", -1);
    const auto id = number_of<std::int64_t>(request, "id", 0);
    const auto since = number_of<std::int64_t>(request, "since_ms", 0);
    auto rows = Json::array();
    for (const auto& refusal : refusals_.list(most_of_all, [&](const Refusal& each) {
             return (user < 0 || each.concerns(Uid{static_cast<std::uint32_t>(user)})) &&
                    (id == 0 || each.id == id) && is_since(each, since);
         }))
        rows.push_back(to_row(refusal, policy));
    return {{"ok", true}, {"refusals", std::move(rows)}};
}

Json RefusalDesk::why(const Json& request, Uid asker, bool reveal, const Policy& policy) const {
    const auto since = number_of<std::int64_t>(request, "since_ms", 0);
    const auto most = std::clamp(number_of<std::int64_t>(request, "most", 20), std::int64_t{1},
                                 static_cast<std::int64_t>(most_of_one));
    auto rows = Json::array();
    for (const auto& refusal :
         refusals_.list(static_cast<std::size_t>(most), [&](const Refusal& each) {
             return each.concerns(asker) && is_since(each, since);
         })) {
        const bool connects = refusal.connector.is(asker);
        const bool listens = refusal.listener.is(asker);
        auto row = to_row(refusal, policy);
        row["role"] = connects ? "connector" : "listener";
        if (!connects)
            hide(row["connector"], reveal);
        else if (refusal.connector.via) // the program is the portal's
            hide(row["connector"], true);
        if (!listens)
            hide(row["listener"], reveal);
        row.erase("labels");
        rows.push_back(std::move(row));
    }
    return {{"ok", true}, {"refusals", std::move(rows)}};
}

} // namespace ubf
