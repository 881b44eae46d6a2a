#include "nft/inspection.hpp"

#include "nft/interval.hpp"
#include "nft/key.hpp"
#include "nft/live_sets.hpp"
#include "nft/objects.hpp"
#include "nft/sets.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <cerrno>
#include <cstring>
#include <fmt/format.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <map>
#include <span>

namespace ubf::nft {
namespace {

using Strings = std::vector<std::string>;

struct SeenChain {
    bool as_meant = true;
    Strings rules; // their ids, in order
};

// --- reading from the kernel ---

int see_table(Connection& connection, const char* name, TableState& state) {
    return connection.get(
        NFT_MSG_GETTABLE,
        [&](nlmsghdr* message) {
            nftnl_table_nlmsg_build_payload(message, table_object(name).get());
        },
        [&](const nlmsghdr* header) {
            const auto table = TablePtr(checked(nftnl_table_alloc()));
            if (nftnl_table_nlmsg_parse(header, table.get()) < 0)
                return;
            state.flags = nftnl_table_get_u32(table.get(), NFTNL_TABLE_FLAGS);
            state.handle = nftnl_table_get_u64(table.get(), NFTNL_TABLE_HANDLE);
            if (nftnl_table_is_set(table.get(), NFTNL_TABLE_OWNER))
                state.owner = nftnl_table_get_u32(table.get(), NFTNL_TABLE_OWNER);
        });
}

bool as_meant(const nftnl_chain* seen, const Chain& wanted) {
    const bool base = nftnl_chain_is_set(seen, NFTNL_CHAIN_HOOKNUM);
    if (!base || !wanted.hook)
        return base == wanted.hook.has_value();
    const Hook hook{nftnl_chain_get_u32(seen, NFTNL_CHAIN_HOOKNUM),
                    nftnl_chain_get_s32(seen, NFTNL_CHAIN_PRIO)};
    return hook == *wanted.hook && nftnl_chain_get_u32(seen, NFTNL_CHAIN_POLICY) == NF_ACCEPT;
}

int see_chains(Connection& connection, const Ruleset& ruleset,
               std::map<std::string, SeenChain>& seen) {
    return connection.dump(
        NFT_MSG_GETCHAIN, [](nlmsghdr*) {},
        [&](const nlmsghdr* header) {
            const auto chain = ChainPtr(checked(nftnl_chain_alloc()));
            if (nftnl_chain_nlmsg_parse(header, chain.get()) < 0)
                return;
            const char* table = nftnl_chain_get_str(chain.get(), NFTNL_CHAIN_TABLE);
            const char* name = nftnl_chain_get_str(chain.get(), NFTNL_CHAIN_NAME);
            if (table == nullptr || name == nullptr || std::strcmp(table, table_name) != 0)
                return;
            const auto wanted = std::ranges::find(ruleset.chains, name, &Chain::name);
            seen[name].as_meant = wanted == ruleset.chains.end() || as_meant(chain.get(), *wanted);
        });
}

int see_rules(Connection& connection, std::map<std::string, SeenChain>& seen) {
    return connection.dump(
        NFT_MSG_GETRULE,
        [](nlmsghdr* message) { mnl_attr_put_strz(message, NFTA_RULE_TABLE, table_name); },
        [&](const nlmsghdr* header) {
            const auto rule = RulePtr(checked(nftnl_rule_alloc()));
            if (nftnl_rule_nlmsg_parse(header, rule.get()) < 0)
                return;
            if (const char* chain = nftnl_rule_get_str(rule.get(), NFTNL_RULE_CHAIN))
                seen[chain].rules.push_back(rule_id(rule.get()).value_or(""));
        });
}

int see_set(Connection& connection, const char* table, const Set& set,
            const Connection::Each& each) {
    return connection.get(
        NFT_MSG_GETSET,
        [&](nlmsghdr* message) {
            mnl_attr_put_strz(message, NFTA_SET_TABLE, table);
            mnl_attr_put_strz(message, NFTA_SET_NAME, set.name.c_str());
        },
        each);
}

int see_elements(Connection& connection, const char* table, const std::string& set,
                 std::vector<Boundary>& seen) {
    return connection.dump(
        NFT_MSG_GETSETELEM,
        [&](nlmsghdr* message) {
            mnl_attr_put_strz(message, NFTA_SET_ELEM_LIST_TABLE, table);
            mnl_attr_put_strz(message, NFTA_SET_ELEM_LIST_SET, set.c_str());
        },
        [&](const nlmsghdr* header) {
            const auto part = SetPtr(checked(nftnl_set_alloc()));
            if (nftnl_set_elems_nlmsg_parse(header, part.get()) < 0)
                return;
            nftnl_set_elem_foreach(
                part.get(),
                [](nftnl_set_elem* element, void* data) {
                    std::uint32_t length = 0;
                    const auto* key = static_cast<const std::uint8_t*>(
                        nftnl_set_elem_get(element, NFTNL_SET_ELEM_KEY, &length));
                    const bool end = nftnl_set_elem_is_set(element, NFTNL_SET_ELEM_FLAGS) &&
                                     (nftnl_set_elem_get_u32(element, NFTNL_SET_ELEM_FLAGS) &
                                      NFT_SET_ELEM_INTERVAL_END) != 0;
                    if (key != nullptr)
                        static_cast<std::vector<Boundary>*>(data)->push_back(
                            {Bytes(key, key + length), end});
                    return 0;
                },
                &seen);
        });
}

// The place in a key of type place4 or place6.
std::optional<Endpoint> place_of(std::span<const std::uint8_t> key) {
    const bool v4 = key.size() == place_size(true);
    if (!v4 && key.size() != place_size(false))
        return std::nullopt;
    const auto port = key.last<padded(part::port.length)>();
    return Endpoint{v4 ? Address::v4(key.first<part::ipv4_address.length>())
                       : Address::v6(key.first<part::ipv6_address.length>()),
                    static_cast<Port>(port[0] << 8 | port[1])};
}

// --- comparison with the ruleset ---

void compare_rules(const Chain& chain, const Strings& seen, Strings& different) {
    Strings wanted;
    bool complete = true;
    for (const auto& rule : chain.rules) {
        wanted.push_back(rule.id);
        if (std::ranges::find(seen, rule.id) != seen.end())
            continue;
        different.push_back(fmt::format("rule {} of chain {}", rule.id, chain.name));
        complete = false;
    }
    if (!complete || seen == wanted)
        return;
    different.push_back(seen.size() > wanted.size()
                            ? fmt::format("a rule of chain {} that isn't ubf's", chain.name)
                            : fmt::format("the order of chain {}", chain.name));
}

void compare_chains(const Ruleset& ruleset, const std::map<std::string, SeenChain>& seen,
                    Strings& different) {
    for (const auto& chain : ruleset.chains) {
        const auto found = seen.find(chain.name);
        if (found == seen.end()) {
            different.push_back(fmt::format("chain {}", chain.name));
            continue;
        }
        if (!found->second.as_meant)
            different.push_back(fmt::format("chain {}: its hook, priority or policy", chain.name));
        compare_rules(chain, found->second.rules, different);
    }
}

constexpr std::string_view no_absence[] = {"elements of set", "a rule of chain", "the order of"};

// A kernel without nf_tables answers EINVAL (nfnetlink_rcv_msg()).
auto failure(int error) {
    return fail(explained("reading the ruleset", error == EINVAL ? EOPNOTSUPP : error));
}

} // namespace

Result<std::optional<TableState>, NftError> table_state(Connection& connection, const char* name) {
    TableState state;
    const int error = see_table(connection, name, state);
    if (error != 0 && error != ENOENT)
        return failure(error);
    return error == 0 ? std::optional(state) : std::nullopt;
}

Result<std::uint32_t, NftError> generation(Connection& connection) {
    std::uint32_t generation = 0;
    const int error = connection.get(
        NFT_MSG_GETGEN, [](nlmsghdr*) {},
        [&](const nlmsghdr* header) {
            mnl_attr_parse(
                header, sizeof(nfgenmsg),
                [](const nlattr* attribute, void* data) {
                    if (mnl_attr_get_type(attribute) == NFTA_GEN_ID &&
                        mnl_attr_validate(attribute, MNL_TYPE_U32) >= 0)
                        *static_cast<std::uint32_t*>(data) = ntohl(mnl_attr_get_u32(attribute));
                    return MNL_CB_OK;
                },
                &generation);
        });
    if (error != 0)
        return fail(explained("reading the ruleset's generation", error));
    return generation;
}

bool is_absence(std::string_view difference) {
    return std::ranges::none_of(
        no_absence, [&](std::string_view start) { return difference.starts_with(start); });
}

Result<std::set<std::string>, int> set_names(Connection& connection, const char* table) {
    std::set<std::string> names;
    const int error = connection.dump(
        NFT_MSG_GETSET,
        [&](nlmsghdr* message) { mnl_attr_put_strz(message, NFTA_SET_TABLE, table); },
        [&](const nlmsghdr* header) {
            const auto set = SetPtr(checked(nftnl_set_alloc()));
            if (nftnl_set_nlmsg_parse(header, set.get()) < 0)
                return;
            const char* owner = nftnl_set_get_str(set.get(), NFTNL_SET_TABLE);
            const char* name = nftnl_set_get_str(set.get(), NFTNL_SET_NAME);
            if (owner != nullptr && name != nullptr && std::strcmp(owner, table) == 0)
                names.emplace(name);
        });
    if (error != 0 && error != ENOENT)
        return fail(error);
    return names;
}

bool has_set(Connection& connection, const char* table, const Set& set) {
    bool same_kind = false;
    const int error = see_set(connection, table, set, [&](const nlmsghdr* header) {
        const auto seen = SetPtr(checked(nftnl_set_alloc()));
        if (nftnl_set_nlmsg_parse(header, seen.get()) < 0)
            return;
        const auto wanted = set_object(table, set);
        const auto same = [&](std::uint16_t attribute) {
            return nftnl_set_get_u32(seen.get(), attribute) ==
                   nftnl_set_get_u32(wanted.get(), attribute);
        };
        same_kind = same(NFTNL_SET_FLAGS) && same(NFTNL_SET_KEY_LEN);
    });
    std::vector<Boundary> elements;
    return error == 0 && same_kind && see_elements(connection, table, set.name, elements) == 0 &&
           tidied(std::move(elements)) == boundaries(set);
}

Result<std::vector<Endpoint>, int> dropped_multicast(Connection& connection) {
    std::vector<Endpoint> places;
    for (const bool v4 : {true, false}) {
        std::vector<Boundary> seen;
        const int error =
            see_elements(connection, table_name, of_family(set_of_multicast, v4), seen);
        if (error != 0)
            return fail(error);
        for (const auto& [key, end] : seen)
            if (const auto place = place_of(key))
                places.push_back(*place);
    }
    return places;
}

// The set has the flows of the answers, so each is reversed.
Result<std::vector<Flow>, int> sent_flows(Connection& connection) {
    std::vector<Flow> flows;
    for (const bool v4 : {true, false}) {
        std::vector<Boundary> seen;
        const int error = see_elements(connection, table_name, of_family(set_of_sent, v4), seen);
        if (error != 0 && error != EINTR)
            return fail(int{error});
        for (const auto& [key, end] : seen) {
            const std::span bytes(key);
            if (bytes.size() != 2 * place_size(v4))
                continue;
            const auto from = place_of(bytes.first(place_size(v4)));
            const auto to = place_of(bytes.last(place_size(v4)));
            if (from && to)
                flows.push_back({Protocol::udp, *to, *from});
        }
    }
    return flows;
}

Result<std::vector<Uid>, int> users_over_limit(Connection& connection) {
    std::vector<Boundary> seen;
    if (const int error = see_elements(connection, table_name, set_of_over_limit, seen); error != 0)
        return fail(error);
    std::vector<Uid> users;
    for (const auto& [key, end] : seen) {
        std::uint32_t uid = 0;
        if (key.size() != sizeof uid)
            continue;
        std::memcpy(&uid, key.data(), sizeof uid);
        users.push_back(Uid{uid});
    }
    std::ranges::sort(users);
    return users;
}

Result<Strings, NftError> differences(Connection& connection, const Ruleset& wanted) {
    Strings different;
    const auto names = set_names(connection, table_name);
    if (!names)
        return failure(names.error());
    const auto ruleset = as_present(wanted, *names);
    TableState table;
    const int no_table = see_table(connection, table_name, table);
    if (no_table == ENOENT)
        return Strings{fmt::format("table inet {}", table_name)};
    if (no_table != 0)
        return failure(no_table);
    if ((table.flags & NFT_TABLE_F_DORMANT) != 0)
        different.push_back(fmt::format("table inet {}: it is dormant", table_name));

    std::map<std::string, SeenChain> chains;
    if (const int error = see_chains(connection, ruleset, chains); error != 0)
        return failure(error);
    if (const int error = see_rules(connection, chains); error != 0)
        return failure(error);
    compare_chains(ruleset, chains, different);

    for (const auto& set : ruleset.sets) {
        std::vector<Boundary> elements;
        const int error = set.is_dynamic()
                              ? see_set(connection, table_name, set, [](const nlmsghdr*) {})
                              : see_elements(connection, table_name, set.name, elements);
        if (error == ENOENT)
            different.push_back(fmt::format("set {}", set.name));
        else if (error != 0)
            return failure(error);
        else if (!set.is_dynamic() && tidied(std::move(elements)) != boundaries(set))
            different.push_back(fmt::format("elements of set {}", set.name));
    }
    return different;
}

} // namespace ubf::nft
