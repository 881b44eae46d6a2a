// The conversation of ubf-rdmad and ubfd, on ubfd's control socket. Each request is a report: the
// connections that are new in the kernel's table, those that are gone, and the outcome of orders.
// The reply has ubfd's orders. ubfd replies to each report once, in their order. The reply to the
// newest report may wait for an order, or for a second.
#pragma once

#include "base/types.hpp"
#include "flow/address.hpp"
#include "flow/flow.hpp"
#include "netlink/rdma.hpp"
#include "owner/process_search.hpp"
#include "rdma/ends.hpp"

#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

namespace ubf::rdma {

// A connection, as its end on this node shows it.
struct Connection {
    CmKey key;
    std::uint32_t port_space = 0;
    Endpoint ours;
    Endpoint theirs;             // of the same family
    std::uint32_t interface = 0; // of link-local addresses
    End end = End::connector;    // which is ours
    bool connected = true;       // false: its id is still there, but an end has disconnected
    bool established = false;    // its queue pair has an other end, as far as the kernel shows
    bool old = false;            // it was there when ubf-rdmad began to look
    bool kernel = false;         // the kernel made our end
    // The maker of our end; for a listener's, that of the listener. Nothing: it has ended.
    std::optional<Holder> process{};

    Flow way_out() const { return {Protocol::rdma, ours, theirs}; } // from our end to the other
};

// An order to end a connection was carried out, or was not.
struct Outcome {
    CmKey key;
    bool ended = false;
    std::string note; // how, or why not
};

struct Report {
    std::uint64_t session = 0; // of one ubf-rdmad and one connection to the socket
    bool begins = false;       // ubfd forgets what it was told before
    std::string state;         // "active", or why nothing is watched
    std::uint64_t cm_ids = 0;
    // These can't be judged: queue pairs that were connected without the connection manager, and
    // ids whose addresses are not IP's.
    std::uint64_t queue_pairs = 0;
    std::uint64_t foreign = 0;
    std::vector<Connection> connections{}; // new ones, and others than before
    std::vector<CmKey> gone{};
    std::vector<Outcome> outcomes{};
};

struct Orders {
    bool look = false;        // at once: a peer asks about a connection that was not reported
    std::vector<CmKey> end{}; // by the death of the connector's process

    bool any() const { return look || !end.empty(); }
};

// A report is split so that no line is much longer than this, a fraction of what ubfd takes.
inline constexpr std::size_t good_line = std::size_t{1} << 16;

nlohmann::ordered_json to_json(const Connection& connection);
nlohmann::ordered_json to_json(const Report& report); // a request
nlohmann::ordered_json to_json(const Orders& orders); // a reply

// Nothing if any field is missing or malformed.
std::optional<Report> to_report(const nlohmann::ordered_json& request);
std::optional<Orders> to_orders(const nlohmann::ordered_json& reply);

} // namespace ubf::rdma
