#include "rdma/report.hpp"

#include "base/json.hpp"

#include <limits>
#include <utility>

namespace ubf::rdma {
namespace {

using Json = nlohmann::ordered_json;

// A list or a text that is longer was not written by ubf-rdmad.
constexpr std::size_t most_in_list = std::size_t{1} << 16;
constexpr std::size_t most_in_text = std::size_t{1} << 16;

// Each reads a field, and says whether it was there and good.
template<typename T>
bool read(const Json& json, const char* key, T& field) {
    const auto found = json.find(key);
    if (found == json.end() || !found->is_number_unsigned())
        return false;
    const auto number = found->get<std::uint64_t>();
    if (number > std::numeric_limits<T>::max())
        return false;
    field = static_cast<T>(number);
    return true;
}

bool read(const Json& json, const char* key, bool& field) {
    const auto found = json.find(key);
    if (found == json.end() || !found->is_boolean())
        return false;
    field = found->get<bool>();
    return true;
}

bool read(const Json& json, const char* key, std::string& field) {
    const auto found = json.find(key);
    if (found == json.end() || !found->is_string())
        return false;
    field = found->get<std::string>();
    return field.size() <= most_in_text;
}

bool read(const Json& json, const char* key, Endpoint& field) {
    const auto endpoint = Endpoint::parse(text_of(json, key));
    if (endpoint)
        field = *endpoint;
    return endpoint.has_value();
}

// A uid, gid or pid.
template<typename Id>
bool read_id(const Json& json, const char* key, Id& id) {
    std::underlying_type_t<Id> number{};
    if (!read(json, key, number))
        return false;
    id = Id{number};
    return true;
}

template<typename Item, typename ReadItem>
bool read_list(const Json& json, const char* key, std::vector<Item>& items, ReadItem read_item) {
    const auto found = json.find(key);
    if (found == json.end() || !found->is_array() || found->size() > most_in_list)
        return false;
    for (const auto& each : *found) {
        Item item;
        if (!read_item(each, item))
            return false;
        items.push_back(std::move(item));
    }
    return true;
}

Json to_json(const CmKey& key) {
    return {{"device", key.device}, {"number", key.number}};
}

bool read_key(const Json& json, CmKey& key) {
    return json.is_object() && read(json, "device", key.device) && read(json, "number", key.number);
}

Json to_json(const Holder& process) {
    const auto& status = process.status;
    auto groups = Json::array();
    for (const Gid gid : status.groups)
        groups.push_back(value(gid));
    return {{"pid", value(process.pid)},
            {"process", value(status.process)},
            {"comm", status.comm},
            {"uid", value(status.uid)},
            {"gid", value(status.gid)},
            {"real_uid", value(status.real_uid)},
            {"real_gid", value(status.real_gid)},
            {"groups", std::move(groups)},
            {"cgroups", process.cgroups},
            {"context", process.context}};
}

bool read_process(const Json& json, Holder& process) {
    auto& status = process.status;
    const auto read_group = [](const Json& item, Gid& gid) {
        if (!item.is_number_unsigned() || item.get<std::uint64_t>() > UINT32_MAX)
            return false;
        gid = Gid{item.get<std::uint32_t>()};
        return true;
    };
    return json.is_object() && read_id(json, "pid", process.pid) &&
           read_id(json, "process", status.process) && read(json, "comm", status.comm) &&
           read_id(json, "uid", status.uid) && read_id(json, "gid", status.gid) &&
           read_id(json, "real_uid", status.real_uid) &&
           read_id(json, "real_gid", status.real_gid) &&
           read_list(json, "groups", status.groups, read_group) &&
           read(json, "cgroups", process.cgroups) && read(json, "context", process.context);
}

bool read_connection(const Json& json, Connection& connection) {
    const auto end = json.is_object() ? text_of(json, "end") : std::string();
    if (end != "connector" && end != "listener")
        return false;
    connection.end = end == "connector" ? End::connector : End::listener;
    if (!read_key(json, connection.key) || !read(json, "space", connection.port_space) ||
        !read(json, "ours", connection.ours) || !read(json, "theirs", connection.theirs) ||
        connection.ours.address.is_v4() != connection.theirs.address.is_v4() ||
        !read(json, "interface", connection.interface) ||
        !read(json, "connected", connection.connected) ||
        !read(json, "established", connection.established) || !read(json, "old", connection.old) ||
        !read(json, "kernel", connection.kernel))
        return false;
    const auto process = json.find("process");
    return process == json.end() || read_process(*process, connection.process.emplace());
}

Json to_json(const Outcome& outcome) {
    auto json = to_json(outcome.key);
    json["ended"] = outcome.ended;
    json["note"] = outcome.note;
    return json;
}

bool read_outcome(const Json& json, Outcome& outcome) {
    return read_key(json, outcome.key) && read(json, "ended", outcome.ended) &&
           read(json, "note", outcome.note);
}

template<typename Item>
Json to_list(const std::vector<Item>& items) {
    auto list = Json::array();
    for (const auto& item : items)
        list.push_back(to_json(item));
    return list;
}

} // namespace

Json to_json(const Connection& connection) {
    auto json = to_json(connection.key);
    json["space"] = connection.port_space;
    json["ours"] = to_string(connection.ours);
    json["theirs"] = to_string(connection.theirs);
    json["interface"] = connection.interface;
    json["end"] = connection.end == End::connector ? "connector" : "listener";
    json["connected"] = connection.connected;
    json["established"] = connection.established;
    json["old"] = connection.old;
    json["kernel"] = connection.kernel;
    if (connection.process)
        json["process"] = to_json(*connection.process);
    return json;
}

Json to_json(const Report& report) {
    return {{"command", "rdma"},
            {"session", report.session},
            {"begins", report.begins},
            {"state", report.state},
            {"cm_ids", report.cm_ids},
            {"queue_pairs", report.queue_pairs},
            {"foreign", report.foreign},
            {"connections", to_list(report.connections)},
            {"gone", to_list(report.gone)},
            {"outcomes", to_list(report.outcomes)}};
}

std::optional<Report> to_report(const Json& request) {
    Report report;
    if (!request.is_object() || !read(request, "session", report.session) ||
        !read(request, "begins", report.begins) || !read(request, "state", report.state) ||
        !read(request, "cm_ids", report.cm_ids) ||
        !read(request, "queue_pairs", report.queue_pairs) ||
        !read(request, "foreign", report.foreign) ||
        !read_list(request, "connections", report.connections, read_connection) ||
        !read_list(request, "gone", report.gone, read_key) ||
        !read_list(request, "outcomes", report.outcomes, read_outcome))
        return std::nullopt;
    return report;
}

Json to_json(const Orders& orders) {
    return {{"ok", true}, {"look", orders.look}, {"end", to_list(orders.end)}};
}

std::optional<Orders> to_orders(const Json& reply) {
    Orders orders;
    if (!reply.is_object() || !is_set(reply, "ok") || !read(reply, "look", orders.look) ||
        !read_list(reply, "end", orders.end, read_key))
        return std::nullopt;
    return orders;
}

} // namespace ubf::rdma
