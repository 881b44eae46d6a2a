// The options of the section [portal].
#pragma once

#include "config/distinct.hpp"
#include "config/options.hpp"

#include <chrono>

namespace ubf::config {

void set_portal_users(Config& config, const Value& list);
void set_on_behalf(Config& config, const Value& list);
void set_portal_domains(Config& config, const Value& list);
void set_portal_group(Config& config, const Value& value);
void set_source_ports(Config& config, const Value& list);

inline constexpr Option portal_options[] = {
    {"portal", "users", "[]",
     "users as whom web portals run, like [\"www-data\"]; they ask before they connect; []: none",
     set_portal_users},
    {"portal", "for", "[\"1000-59999\"]", "users for whom a portal may ask", set_on_behalf},
    {"portal", "targets", "[]",
     "addresses to which a portal may ask to connect; []: those of peers.ranges and the node's own",
     [](Config& c, const Value& v) { c.portal.targets = prefixes(v); }},
    {"portal", "peers", "[]",
     "nodes that run portals, like [\"10.0.0.3\"]; they may ask who listens here; []: none",
     [](Config& c, const Value& v) { c.portal.peers = prefixes(v); }},
    {"portal", "domains", "[]",
     "suffixes of names that portals may ask for, like [\"cluster.example.org\"]; names without a "
     "dot need none",
     set_portal_domains},
    {"portal", "group", "\"\"", "group that may use portal.socket; \"\": root's", set_portal_group},
    {"portal", "ticket_s", "10", "seconds within which the connection must follow the answer",
     [](Config& c, const Value& v) { c.portal.ticket = std::chrono::seconds(v.integer(1, 60)); }},
    {"portal", "source_ports", "[]",
     "ports from which a portal may be told to connect, like [40001, \"40100-40199\"]; []: any",
     set_source_ports},
    {"portal", "socket", "\"/run/ubf/portal/http.sock\"", "where portals ask ubf-portal",
     [](Config& c, const Value& v) { c.portal.socket = v.socket_path(); }},
    {"portal", "forward", "\"\"", "folder of forward files; \"\": none",
     [](Config& c, const Value& v) { c.portal.forward = v.string_or_none(); }},
};

} // namespace ubf::config
