#include "nft/installer.hpp"

#include "nft/inspection.hpp"
#include "nft/objects.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <cerrno>
#include <cstring>
#include <fmt/format.h>
#include <libmnl/libmnl.h>
#include <libnftnl/expr.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

namespace ubf::nft {
namespace {

constexpr std::size_t elements_per_message = 256;

// --- the steps of a transaction ---

void add_table(Batch& batch, const char* name) {
    const auto table = table_object(name);
    nftnl_table_set_u32(table.get(), NFTNL_TABLE_FLAGS, 0); // not dormant
    batch.add(NFT_MSG_NEWTABLE, NLM_F_CREATE, {fmt::format("adding the table inet {}", name)},
              [&](nlmsghdr* message) { nftnl_table_nlmsg_build_payload(message, table.get()); });
}

void add_set(Batch& batch, const char* table, const Set& set) {
    const auto empty = set_object(table, set);
    batch.add(NFT_MSG_NEWSET, NLM_F_CREATE, {fmt::format("adding the set {}", set.name)},
              [&](nlmsghdr* message) { nftnl_set_nlmsg_build_payload(message, empty.get()); });
}

void replace_set(Batch& batch, const Set& set) {
    add_set(batch, table_name, set);
    if (set.is_dynamic())
        return;
    const auto empty = set_object(table_name, set);
    batch.add(
        NFT_MSG_DELSETELEM, 0, {fmt::format("emptying the set {}", set.name)},
        [&](nlmsghdr* message) { nftnl_set_elems_nlmsg_build_payload(message, empty.get()); });
    const auto all = boundaries(set);
    for (std::span<const Boundary> rest(all); !rest.empty();) {
        const auto now = rest.first(std::min(elements_per_message, rest.size()));
        rest = rest.subspan(now.size());
        const auto part = set_object(table_name, set, now);
        batch.add(
            NFT_MSG_NEWSETELEM, NLM_F_CREATE, {fmt::format("filling the set {}", set.name)},
            [&](nlmsghdr* message) { nftnl_set_elems_nlmsg_build_payload(message, part.get()); });
    }
}

void delete_table(Batch& batch) {
    batch.add(NFT_MSG_DELTABLE, 0, {fmt::format("deleting the table inet {}", table_name)},
              [](nlmsghdr* message) {
                  nftnl_table_nlmsg_build_payload(message, table_object(table_name).get());
              });
}

void add_chain(Batch& batch, const char* table, const Chain& chain) {
    const auto object = chain_object(table, chain);
    batch.add(NFT_MSG_NEWCHAIN, NLM_F_CREATE, {fmt::format("adding the chain {}", chain.name)},
              [&](nlmsghdr* message) { nftnl_chain_nlmsg_build_payload(message, object.get()); });
}

void empty_chain(Batch& batch, const Chain& chain) {
    const auto all = rules_object(table_name, chain.name);
    batch.add(NFT_MSG_DELRULE, 0, {fmt::format("emptying the chain {}", chain.name)},
              [&](nlmsghdr* message) { nftnl_rule_nlmsg_build_payload(message, all.get()); });
}

std::string modules_of(const Rule& rule) {
    std::string all = "nf_tables";
    for (const auto& statement : rule.statements)
        for (const auto& expression : statement.expressions)
            if (const auto name = modules(expression);
                !name.empty() && all.find(name) == std::string::npos)
                all += fmt::format(", {}", name);
    return all;
}

void add_rule(Batch& batch, const char* table, const Chain& chain, const Rule& rule) {
    const auto object = rule_object(table, chain.name, rule);
    batch.add(
        NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND,
        {fmt::format("adding the rule {} to the chain {}", rule.id, chain.name), modules_of(rule)},
        [&](nlmsghdr* message) { nftnl_rule_nlmsg_build_payload(message, object.get()); });
}

void add_all(Batch& batch, const Ruleset& ruleset) {
    add_table(batch, table_name);
    for (const auto& set : ruleset.sets)
        replace_set(batch, set);
    for (const auto& chain : ruleset.chains) {
        add_chain(batch, table_name, chain);
        empty_chain(batch, chain);
    }
    for (const auto& chain : ruleset.chains)
        for (const auto& rule : chain.rules)
            add_rule(batch, table_name, chain, rule);
}

NftError explained(const Connection::Outcome& outcome) {
    return nft::explained(outcome.failed.what, outcome.error, outcome.failed.modules);
}

} // namespace

void Installer::commit(Batch& batch) {
    if (const auto outcome = connection_.commit(batch); outcome.error != 0)
        throw explained(outcome);
}

void Installer::install(const Ruleset& ruleset) {
    auto batch = connection_.begin();
    add_all(batch, ruleset);
    commit(batch);
}

void Installer::install_afresh(const Ruleset& ruleset) {
    auto batch = connection_.begin();
    add_table(batch, table_name); // so that there is one to delete
    delete_table(batch);
    add_all(batch, ruleset);
    commit(batch);
}

void Installer::remove() {
    auto batch = connection_.begin();
    delete_table(batch);
    const auto outcome = connection_.commit(batch);
    if (outcome.error != 0 && outcome.error != ENOENT)
        throw explained(outcome);
    const auto still_there = table_exists(connection_);
    if (!still_there)
        throw still_there.error();
    if (*still_there)
        throw NftError(fmt::format("the table inet {0} is still there; remove it with 'nft delete "
                                   "table inet {0}'",
                                   table_name));
}

namespace {

// The set that the expression reads or writes, or an empty name.
std::string set_of(const Expression& expression) {
    if (const auto* lookup = std::get_if<Lookup>(&expression))
        return lookup->set;
    if (const auto* update = std::get_if<Update>(&expression))
        return update->set;
    if (const auto* update = std::get_if<UpdateOverLimit>(&expression))
        return update->set;
    return {};
}

} // namespace

// In a transaction of which the last step must fail, so that nothing of it stays.
bool Installer::can(const std::vector<Expression>& expressions, const std::vector<Set>& sets) {
    constexpr const char* undoing = "undoing the probe";
    constexpr const char* table = "ubf-probe";
    const Chain chain{"probe", "", {}, {}};
    const Chain nowhere{"nowhere", "", {}, {}};
    auto batch = connection_.begin();
    add_table(batch, table);
    for (const auto& set : sets)
        if (std::ranges::find(expressions, set.name, set_of) != expressions.end())
            add_set(batch, table, set);
    add_chain(batch, table, chain);
    add_rule(batch, table, chain, {"probe", "", {{"", expressions}}});
    batch.add(NFT_MSG_DELCHAIN, 0, {undoing}, [&](nlmsghdr* message) {
        nftnl_chain_nlmsg_build_payload(message, chain_object(table, nowhere).get());
    });
    const auto outcome = connection_.commit(batch);
    if (outcome.failed.what == undoing)
        return true;
    if (outcome.error != ENOENT && outcome.error != EOPNOTSUPP)
        throw explained(outcome); // nothing to do with what the kernel can
    return false;
}

Result<std::vector<std::string>, NftError> Installer::missing(const Ruleset& ruleset) {
    return differences(connection_, ruleset);
}

Result<std::uint32_t, NftError> Installer::generation() {
    return nft::generation(connection_);
}

Result<std::map<std::string, RuleCounter>, NftError> Installer::counters() {
    std::map<std::string, RuleCounter> counters;
    const int error = connection_.dump(
        NFT_MSG_GETRULE,
        [](nlmsghdr* message) { mnl_attr_put_strz(message, NFTA_RULE_TABLE, table_name); },
        [&](const nlmsghdr* header) {
            const auto rule = RulePtr(checked(nftnl_rule_alloc()));
            if (nftnl_rule_nlmsg_parse(header, rule.get()) < 0)
                return;
            const auto name = counter_name(rule_id(rule.get()).value_or(""));
            if (name.empty())
                return;
            const auto add = [&](const nftnl_expr* expression) {
                if (std::strcmp(nftnl_expr_get_str(expression, NFTNL_EXPR_NAME), "counter") != 0)
                    return;
                auto& sum = counters[name];
                sum.packets += nftnl_expr_get_u64(expression, NFTNL_EXPR_CTR_PACKETS);
                sum.bytes += nftnl_expr_get_u64(expression, NFTNL_EXPR_CTR_BYTES);
            };
            nftnl_expr_foreach(
                rule.get(),
                [](nftnl_expr* expression, void* data) {
                    (*static_cast<decltype(add)*>(data))(expression);
                    return 0;
                },
                const_cast<void*>(static_cast<const void*>(&add)));
        });
    if (error != 0)
        return fail(nft::explained("reading the counters", error));
    return counters;
}

} // namespace ubf::nft
