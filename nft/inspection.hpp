// Is the ruleset still as we made it?
#pragma once

#include "base/result.hpp"
#include "flow/flow.hpp"
#include "nft/connection.hpp"
#include "nft/error.hpp"
#include "nft/ruleset.hpp"

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace ubf::nft {

// Not in nft's headers before Linux 6.9 (NFT_TABLE_F_PERSIST).
inline constexpr std::uint32_t flag_persist = 0x4;

struct TableState {
    std::uint32_t flags = 0;  // NFT_TABLE_F_*
    std::uint32_t owner = 0;  // the port id of the socket that owns it; 0: nobody does
    std::uint64_t handle = 0; // changes when the table is made anew

    // The kernel deletes the table when that socket is closed.
    bool goes_with_owner() const { return owner != 0 && (flags & flag_persist) == 0; }
};

// Nothing if there is no such table, or the error if the kernel can't be asked.
Result<std::optional<TableState>, NftError> table_state(Connection& connection,
                                                        const char* name = table_name);

// The ruleset's generation, which changes with every change in this network namespace.
Result<std::uint32_t, NftError> generation(Connection& connection);

// The differences from the ruleset, each named as in "rule ubf:gate:queue of chain gate"; empty if
// there are none. Compares chains (hook, priority, policy), rules by id and order, and sets with
// their elements. The content of rules is not compared.
Result<std::vector<std::string>, NftError> differences(Connection& connection,
                                                       const Ruleset& ruleset);

// The names of a table's sets, none if there is no such table; or an errno.
Result<std::set<std::string>, int> set_names(Connection& connection, const char* table);

// Whether the table has a set of this name, of this kind, and with these elements.
bool has_set(Connection& connection, const char* table, const Set& set);

// The destinations of datagrams that were dropped lately because they have many listeners. Or an
// errno: ENOENT if the table, or its set, is not there.
Result<std::vector<Endpoint>, int> dropped_multicast(Connection& connection);

// The UDP flows that this node has sent where nothing is tracked, and that may still be answered.
// Or an errno: ENOENT if the table is not there. A change of the ruleset meanwhile may hide some.
Result<std::vector<Flow>, int> sent_flows(Connection& connection);

// The users who have been over the limit of new connections lately. Or an errno: ENOENT if there is
// no limit.
Result<std::vector<Uid>, int> users_over_limit(Connection& connection);

// Whether the difference is an absence, which leaves open what the missing part refused. Something
// more, or a set with other elements, is no absence.
bool is_absence(std::string_view difference);

} // namespace ubf::nft
