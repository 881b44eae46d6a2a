// The kernel's tables of neighbours, ARP's and NDP's: one of each for the whole machine, with room
// for net.*.neigh.default.gc_thresh3 addresses. If a table is full, nodes that it does not hold
// can't be reached. A flat network of more than a thousand nodes fills it without ubfd as well, and
// the failure looks like a refusal.
#pragma once

#include <cstdint>
#include <string_view>

namespace ubf {

// Counts how often the tables were full since the machine was booted; 0 if the count can't be read,
// as in any network namespace but the first.
std::uint64_t neighbour_tables_full();

// The same of one table, by the text of /proc/net/stat/arp_cache or ndisc_cache
// (neigh_stat_seq_show, net/core/neighbour.c): a line of names, then one of hexadecimal numbers for
// each CPU.
std::uint64_t times_full(std::string_view text);

} // namespace ubf
