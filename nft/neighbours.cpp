#include "nft/neighbours.hpp"

#include "nft/chains.hpp"
#include "nft/objects.hpp"
#include "nft/ruleset.hpp"

#include <algorithm>
#include <cstring>
#include <fmt/format.h>
#include <fstream>
#include <functional>
#include <libmnl/libmnl.h>
#include <libnftnl/expr.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/xt_CT.h>
#include <map>
#include <utility>

namespace ubf::nft {
namespace {

void of_all_families(nlmsghdr* message) {
    static_cast<nfgenmsg*>(mnl_nlmsg_get_payload(message))->nfgen_family = NFPROTO_UNSPEC;
}

std::string_view family_name(std::uint32_t family) {
    switch (family) {
    case NFPROTO_INET:
        return "inet";
    case NFPROTO_IPV4:
        return "ip";
    case NFPROTO_IPV6:
        return "ip6";
    default:
        return "";
    }
}

// Empty for our own chains, and for families that see no IP packets on their way to a socket.
std::string name_of(std::uint32_t family, const char* table, const char* chain) {
    const auto kind = family_name(family);
    if (kind.empty() || table == nullptr || chain == nullptr ||
        (family == NFPROTO_INET &&
         (std::strcmp(table, table_name) == 0 || std::strcmp(table, stand_in_name) == 0)))
        return {};
    return fmt::format("chain {} of table {} {}", chain, kind, table);
}

// Another program's base chain on input.
struct InputChain {
    std::string name;
    std::uint32_t family;
    std::string table;
    std::int32_t priority;
    bool drops; // by its policy
};

int see_input_chains(Connection& connection, const std::function<void(const InputChain&)>& each) {
    return connection.dump(NFT_MSG_GETCHAIN, of_all_families, [&](const nlmsghdr* header) {
        const auto chain = ChainPtr(checked(nftnl_chain_alloc()));
        if (nftnl_chain_nlmsg_parse(header, chain.get()) < 0 ||
            !nftnl_chain_is_set(chain.get(), NFTNL_CHAIN_HOOKNUM) ||
            nftnl_chain_get_u32(chain.get(), NFTNL_CHAIN_HOOKNUM) != NF_INET_LOCAL_IN)
            return;
        const auto family = nftnl_chain_get_u32(chain.get(), NFTNL_CHAIN_FAMILY);
        const char* table = nftnl_chain_get_str(chain.get(), NFTNL_CHAIN_TABLE);
        auto name = name_of(family, table, nftnl_chain_get_str(chain.get(), NFTNL_CHAIN_NAME));
        if (!name.empty())
            each({std::move(name), family, table,
                  nftnl_chain_get_s32(chain.get(), NFTNL_CHAIN_PRIO),
                  nftnl_chain_get_u32(chain.get(), NFTNL_CHAIN_POLICY) == NF_DROP});
    });
}

int find_chains(Connection& connection, std::vector<std::string>& found) {
    return see_input_chains(connection, [&](const InputChain& chain) {
        if (chain.priority >= gate_priority && chain.priority <= verdict_priority)
            found.push_back(fmt::format(
                "{} is on hook input at priority {}, so its rules may run between ubf's "
                "chains gate and verdict: a mark that they write can let in what ubfd "
                "refused; give it another priority",
                chain.name, chain.priority));
    });
}

// notrack, or the target that iptables has for it.
bool untracks(nftnl_expr* expression) {
    const std::string_view name = nftnl_expr_get_str(expression, NFTNL_EXPR_NAME);
    if (name == "notrack")
        return true;
    if (name != "target")
        return false;
    const char* target = nftnl_expr_get_str(expression, NFTNL_EXPR_TG_NAME);
    std::uint32_t length = 0;
    const void* info = nftnl_expr_get(expression, NFTNL_EXPR_TG_INFO, &length);
    if (target == nullptr ||
        (std::strcmp(target, "CT") != 0 && std::strcmp(target, "NOTRACK") != 0))
        return false;
    // Each revision begins with its flags.
    decltype(xt_ct_target_info::flags) flags = XT_CT_NOTRACK;
    if (info != nullptr && length >= sizeof flags)
        std::memcpy(&flags, info, sizeof flags);
    return (flags & XT_CT_NOTRACK) != 0;
}

// Finds the rules that have such an instruction. deed: says of a rule what it does.
int find_rules(Connection& connection, bool (*is_such)(nftnl_expr*), std::string_view deed,
               std::vector<std::string>& found) {
    return connection.dump(NFT_MSG_GETRULE, of_all_families, [&](const nlmsghdr* header) {
        const auto rule = RulePtr(checked(nftnl_rule_alloc()));
        if (nftnl_rule_nlmsg_parse(header, rule.get()) < 0)
            return;
        const auto name = name_of(nftnl_rule_get_u32(rule.get(), NFTNL_RULE_FAMILY),
                                  nftnl_rule_get_str(rule.get(), NFTNL_RULE_TABLE),
                                  nftnl_rule_get_str(rule.get(), NFTNL_RULE_CHAIN));
        std::pair any(is_such, false);
        nftnl_expr_foreach(
            rule.get(),
            [](nftnl_expr* expression, void* data) {
                auto& [matches, seen] = *static_cast<decltype(any)*>(data);
                seen |= matches(expression);
                return 0;
            },
            &any);
        if (any.second && !name.empty())
            found.push_back(fmt::format("{} {}", name, deed));
    });
}

int find_untracking_rules(Connection& connection, std::vector<std::string>& found) {
    return find_rules(
        connection, untracks,
        "keeps packets from connection tracking (notrack): this node can't prove that it sent such "
        "UDP, so peers refuse it; leave watched ports out of that rule",
        found);
}

// --- refusals by other programs ---

// The effects of one table's rules.
struct Deeds {
    bool refuse = false;
    bool mark = false; // packets
};
using TableName = std::pair<std::uint32_t, std::string>; // with its family

void add_deeds(nftnl_expr* expression, Deeds& deeds) {
    const std::string_view name = nftnl_expr_get_str(expression, NFTNL_EXPR_NAME);
    if (name == "reject") {
        deeds.refuse = true;
    } else if (name == "immediate") {
        deeds.refuse |= nftnl_expr_is_set(expression, NFTNL_EXPR_IMM_VERDICT) &&
                        nftnl_expr_get_u32(expression, NFTNL_EXPR_IMM_VERDICT) == NF_DROP;
    } else if (name == "meta") {
        deeds.mark |= nftnl_expr_is_set(expression, NFTNL_EXPR_META_SREG) &&
                      nftnl_expr_get_u32(expression, NFTNL_EXPR_META_KEY) == NFT_META_MARK;
    } else if (name == "target") {
        const char* target = nftnl_expr_get_str(expression, NFTNL_EXPR_TG_NAME);
        const std::string_view what = target == nullptr ? "" : target;
        deeds.refuse |= what == "REJECT" || what == "DROP";
        deeds.mark |= what == "MARK" || what == "CONNMARK";
    }
}

// dnat or redirect, or the targets that iptables has for them.
bool redirects(nftnl_expr* expression) {
    const std::string_view name = nftnl_expr_get_str(expression, NFTNL_EXPR_NAME);
    if (name == "nat")
        return nftnl_expr_get_u32(expression, NFTNL_EXPR_NAT_TYPE) == NFT_NAT_DNAT;
    if (name != "target")
        return name == "redir";
    const char* target = nftnl_expr_get_str(expression, NFTNL_EXPR_TG_NAME);
    const std::string_view what = target == nullptr ? "" : target;
    return what == "DNAT" || what == "REDIRECT";
}

int see_deeds(Connection& connection, std::map<TableName, Deeds>& tables) {
    return connection.dump(NFT_MSG_GETRULE, of_all_families, [&](const nlmsghdr* header) {
        const auto rule = RulePtr(checked(nftnl_rule_alloc()));
        if (nftnl_rule_nlmsg_parse(header, rule.get()) < 0)
            return;
        const auto family = nftnl_rule_get_u32(rule.get(), NFTNL_RULE_FAMILY);
        const char* table = nftnl_rule_get_str(rule.get(), NFTNL_RULE_TABLE);
        if (name_of(family, table, "").empty())
            return;
        nftnl_expr_foreach(
            rule.get(),
            [](nftnl_expr* expression, void* data) {
                add_deeds(expression, *static_cast<Deeds*>(data));
                return 0;
            },
            &tables[{family, table}]);
    });
}

int see_refusing_chains(Connection& connection, const std::map<TableName, Deeds>& tables,
                        std::vector<std::string>& found) {
    return see_input_chains(connection, [&](const InputChain& chain) {
        const auto deeds = tables.find({chain.family, chain.table});
        if (chain.drops || (deeds != tables.end() && deeds->second.refuse))
            found.push_back(fmt::format(
                "{} (input, priority {}) can refuse what ubfd allows{}: if a connection fails and "
                "ubfd's log has no denial of it, look there",
                chain.name, chain.priority,
                chain.drops ? ", and drops what its rules do not name (policy drop)" : ""));
    });
}

} // namespace

Result<std::vector<std::string>, NftError> refusals_of_others(Connection& connection) {
    std::map<TableName, Deeds> tables;
    std::vector<std::string> found;
    int error = see_deeds(connection, tables);
    if (error == 0)
        error = see_refusing_chains(connection, tables, found);
    if (error != 0)
        return fail(explained("reading the rules of other tables", error));
    for (const auto& [table, deeds] : tables)
        if (deeds.mark)
            found.push_back(fmt::format("table {} {} writes packet marks: it must leave the three "
                                        "bits of mark.mask alone",
                                        family_name(table.first), table.second));
    std::ranges::sort(found);
    return found;
}

Result<std::vector<std::string>, NftError> translations_of_others(Connection& connection) {
    std::vector<std::string> found;
    const int error = find_rules(
        connection, redirects,
        "gives flows another destination, and ubfd refuses most of these as translated", found);
    if (error != 0)
        return fail(explained("reading the rules of other tables", error));
    std::ranges::sort(found);
    found.erase(std::unique(found.begin(), found.end()), found.end());
    return found;
}

std::vector<std::string> legacy_tables() {
    std::vector<std::string> found;
    for (const auto& [file, program] :
         {std::pair("/proc/net/ip_tables_names", "iptables-legacy"),
          std::pair("/proc/net/ip6_tables_names", "ip6tables-legacy")}) {
        std::ifstream names(file);
        std::vector<std::string> tables;
        for (std::string name; names >> name;)
            if (name != "nat")
                tables.push_back(name);
        if (!tables.empty())
            found.push_back(fmt::format(
                "{} has tables ({}), whose rules ubfd does not see; they can refuse what "
                "ubfd allows: {}-save lists them",
                program, fmt::join(tables, ", "), program));
    }
    return found;
}

Result<std::vector<std::string>, NftError> disturbances(Connection& connection) {
    std::vector<std::string> found;
    for (const auto see : {find_chains, find_untracking_rules})
        if (const int error = see(connection, found); error != 0)
            return fail(explained("reading the rules of other tables", error));
    std::ranges::sort(found);
    found.erase(std::unique(found.begin(), found.end()), found.end());
    return found;
}

} // namespace ubf::nft
