#include "daemon/control/explained_owner.hpp"

#include "base/escape.hpp"

#include <chrono>
#include <fmt/format.h>

namespace ubf {

std::string describe(const Owner& owner, UserCache& users) {
    if (owner.kind == OwnerKind::shared)
        return "sockets of several users are at this port, and nothing tells which of them it is";
    if (owner.kind != OwnerKind::user)
        return owner.kind == OwnerKind::unknown ? "no socket sends this flow now"
                                                : std::string(to_string(owner.kind));
    auto text = owner.via ? fmt::format("a socket of the web portal of {}, for {}",
                                        users.name(*owner.via), users.name(owner.uid))
                          : fmt::format("a socket of {}", users.name(owner.uid));
    if (!owner.credentials)
        return text;
    const auto& credentials = *owner.credentials;
    if (credentials.process.pid != Pid{})
        text += fmt::format(", program {}[{}]", escape(credentials.process.comm),
                            value(credentials.process.pid));
    if (credentials.process.job != 0)
        text += fmt::format(", job {}", credentials.process.job);
    text += credentials.gid ? fmt::format(", effective gid {}", value(*credentials.gid))
                            : std::string(", no effective gid for certain");
    std::string groups;
    for (const Gid gid : credentials.groups)
        groups += fmt::format("{}{}", groups.empty() ? "" : ",", value(gid));
    return fmt::format("{}, groups {} (found by: {})", text, groups.empty() ? "none" : groups,
                       to_string(credentials.method));
}

nlohmann::ordered_json to_json(const Owner& owner, UserCache& users) {
    using Json = nlohmann::ordered_json;
    Json json{{"kind", to_string(owner.kind)}};
    if (owner.kind != OwnerKind::user)
        return json;
    json["uid"] = value(owner.uid);
    if (owner.via)
        json["via"] = value(*owner.via);
    if (const auto user = users.find(owner.uid, std::chrono::milliseconds(100)))
        json["user"] = user->name;
    if (!owner.credentials)
        return json;
    const auto& credentials = *owner.credentials;
    if (credentials.gid)
        json["gid"] = value(*credentials.gid);
    auto groups = Json::array();
    for (const Gid gid : credentials.groups)
        groups.push_back(value(gid));
    json["groups"] = groups;
    auto labels = Json::array();
    for (const auto& label : credentials.labels)
        labels.push_back(to_string(label));
    json["labels"] = labels;
    json["labels_known"] = credentials.labels_known;
    if (credentials.process.job != 0)
        json["job"] = credentials.process.job;
    if (credentials.process.pid != Pid{}) {
        json["pid"] = value(credentials.process.pid);
        json["comm"] = escape(credentials.process.comm);
    }
    json["method"] = to_string(credentials.method);
    return json;
}

} // namespace ubf
