#include "nft/installer.hpp"

#include "nft/inspection.hpp"
#include "nft/live_sets.hpp"
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

std::uint32_t flags_of(Ownership ownership) {
    switch (ownership) {
    case Ownership::none:
        break;
    case Ownership::socket:
        return NFT_TABLE_F_OWNER;
    case Ownership::persistent:
        return NFT_TABLE_F_OWNER | flag_persist;
    }
    return 0;
}

void add_table(Batch& batch, const char* name, std::uint32_t flags = 0) {
    const auto table = table_object(name);
    nftnl_table_set_u32(table.get(), NFTNL_TABLE_FLAGS, flags); // not dormant
    batch.add(NFT_MSG_NEWTABLE, NLM_F_CREATE, {fmt::format("adding the table inet {}", name)},
              [&](nlmsghdr* message) { nftnl_table_nlmsg_build_payload(message, table.get()); });
}

void delete_table(Batch& batch, const char* name) {
    batch.add(NFT_MSG_DELTABLE, 0, {fmt::format("deleting the table inet {}", name)},
              [&](nlmsghdr* message) {
                  nftnl_table_nlmsg_build_payload(message, table_object(name).get());
              });
}

void add_set(Batch& batch, const char* table, const Set& set) {
    const auto empty = set_object(table, set);
    batch.add(NFT_MSG_NEWSET, NLM_F_CREATE, {fmt::format("adding the set {}", set.name)},
              [&](nlmsghdr* message) { nftnl_set_nlmsg_build_payload(message, empty.get()); });
}

void fill_set(Batch& batch, const char* table, const Set& set) {
    const auto empty = set_object(table, set);
    batch.add(
        NFT_MSG_DELSETELEM, 0, {fmt::format("emptying the set {}", set.name)},
        [&](nlmsghdr* message) { nftnl_set_elems_nlmsg_build_payload(message, empty.get()); });
    const auto all = boundaries(set);
    for (std::span<const Boundary> rest(all); !rest.empty();) {
        const auto now = rest.first(std::min(elements_per_message, rest.size()));
        rest = rest.subspan(now.size());
        const auto part = set_object(table, set, now);
        batch.add(
            NFT_MSG_NEWSETELEM, NLM_F_CREATE, {fmt::format("filling the set {}", set.name)},
            [&](nlmsghdr* message) { nftnl_set_elems_nlmsg_build_payload(message, part.get()); });
    }
}

void add_chain(Batch& batch, const char* table, const Chain& chain) {
    const auto object = chain_object(table, chain);
    batch.add(NFT_MSG_NEWCHAIN, NLM_F_CREATE, {fmt::format("adding the chain {}", chain.name)},
              [&](nlmsghdr* message) { nftnl_chain_nlmsg_build_payload(message, object.get()); });
}

void empty_chain(Batch& batch, const char* table, const Chain& chain) {
    const auto all = rules_object(table, chain.name);
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

void delete_set(Batch& batch, const char* table, const std::string& name) {
    const auto object = set_object(table, {name, "", SetType::port});
    batch.add(NFT_MSG_DELSET, 0, {fmt::format("deleting the set {}", name)},
              [&](nlmsghdr* message) { nftnl_set_nlmsg_build_payload(message, object.get()); });
}

void add_sets(Batch& batch, const char* table, const std::vector<Set>& sets) {
    for (const auto& set : sets) {
        add_set(batch, table, set);
        fill_set(batch, table, set);
    }
}

void fill(Batch& batch, const char* table, const LiveSets& live) {
    const auto& ruleset = live.ruleset;
    for (const auto& set : ruleset.sets)
        if (set.is_dynamic())
            add_set(batch, table, set);
    for (const auto& chain : ruleset.chains) {
        add_chain(batch, table, chain);
        empty_chain(batch, table, chain);
    }
    for (const auto& chain : ruleset.chains)
        for (const auto& rule : chain.rules)
            add_rule(batch, table, chain, rule);
    for (const auto& name : live.stale)
        delete_set(batch, table, name);
}

// Whether the kernel turns a table with the flags `seen` into one with the flags `wanted`. It gives
// a table that outlived its owner to the next, and changes nothing else (nf_tables_updtable()).
bool becomes(std::uint32_t seen, std::uint32_t wanted) {
    seen &= ~std::uint32_t{NFT_TABLE_F_DORMANT};
    return seen == wanted || (seen == flag_persist && wanted == (NFT_TABLE_F_OWNER | flag_persist));
}

// The next generation (nf_tables_commit()): none has the number 0.
std::uint32_t next(std::uint32_t generation) {
    return generation + 1 == 0 ? 1 : generation + 1;
}

NftError explained(const Connection::Outcome& outcome) {
    return nft::explained(outcome.failed.what, outcome.error, outcome.failed.modules);
}

} // namespace

Installer::Installer()
  : own_(std::make_unique<Connection>())
  , table_(*own_) {}

void Installer::install(const Ruleset& ruleset, Ownership ownership,
                        std::optional<std::uint32_t> generation) {
    const auto seen = state();
    auto flags = flags_of(ownership);
    if (seen && seen->owner != 0 && seen->owner != table_.port_id())
        throw NftError(
            fmt::format("another program (netlink port {1}) owns the table inet {0}, and "
                        "nobody else can change it; it is a running ubfd, or systemd "
                        "for one that restarts: stop it first ('systemctl stop ubfd')",
                        table_name, seen->owner),
            EBUSY);
    if (seen && seen->owner != 0 && ownership != Ownership::none)
        flags = seen->flags & ~std::uint32_t{NFT_TABLE_F_DORMANT}; // as it was made
    if (!seen || flags == seen->flags || becomes(seen->flags, flags)) {
        put(table_name, ruleset, flags, generation);
    } else {
        // The sets of a new table are filled too late (see live_sets.hpp). Until then, the stand-in
        // beside it has the same rules.
        install_stand_in(ruleset);
        auto batch = table_.begin();
        delete_table(batch, table_name);
        add_table(batch, table_name, flags);
        const LiveSets live{ruleset};
        add_sets(batch, table_name, fresh(live));
        fill(batch, table_name, live);
        commit(batch);
    }
    if (!table_is_there(stand_in_name))
        return;
    auto batch = table_.begin();
    delete_table(batch, stand_in_name);
    commit(batch);
}

void Installer::install_afresh(const Ruleset& ruleset) {
    auto batch = table_.begin();
    add_table(batch, table_name); // so that there is one to delete
    delete_table(batch, table_name);
    add_table(batch, table_name);
    const LiveSets live{ruleset};
    add_sets(batch, table_name, fresh(live));
    fill(batch, table_name, live);
    commit(batch);
}

void Installer::install_stand_in(const Ruleset& ruleset) {
    put(stand_in_name, ruleset, 0, {});
}

void Installer::commit(Batch& batch) {
    if (const auto outcome = table_.commit(batch); outcome.error != 0)
        throw explained(outcome);
}

// Makes the sets first, and then the rules that look into them.
void Installer::put(const char* table, const Ruleset& ruleset, std::uint32_t flags,
                    std::optional<std::uint32_t> generation) {
    const bool is_new = !table_is_there(table);
    const auto live = is_new ? LiveSets{ruleset} : live_sets_of(table, ruleset);
    const auto sets = fresh(live);
    if (is_new || !sets.empty()) { // an empty transaction makes no generation
        auto batch = table_.begin(generation);
        add_table(batch, table, flags);
        add_sets(batch, table, sets);
        commit(batch);
        if (generation)
            generation = next(*generation);
    }
    const auto between = generation ? generation : this->generation().value_or(0);
    try {
        auto batch = table_.begin(generation);
        add_table(batch, table, flags);
        fill(batch, table, live);
        commit(batch);
    } catch (...) {
        // Only if the generation is still ours: else the sets may be another program's.
        auto undo = table_.begin(between);
        if (is_new)
            delete_table(undo, table);
        else
            for (const auto& set : sets)
                delete_set(undo, table, set.name);
        table_.commit(undo);
        throw;
    }
}

bool Installer::table_is_there(const char* table) {
    const auto seen = table_state(reader_, table);
    if (!seen)
        throw seen.error();
    return seen->has_value();
}

LiveSets Installer::live_sets_of(const char* table, const Ruleset& ruleset) {
    constexpr int most_tries = 20; // changes by other programs interrupt a dump
    auto names = set_names(reader_, table);
    for (int i = 1; i < most_tries && !names && names.error() == EINTR; ++i)
        names = set_names(reader_, table);
    if (!names)
        throw nft::explained("reading the sets", names.error());
    return live_sets(ruleset, *names, [&](const Set& set) { return has_set(reader_, table, set); });
}

void Installer::remove() {
    for (const char* name : {table_name, stand_in_name}) {
        auto batch = table_.begin();
        delete_table(batch, name);
        const auto outcome = table_.commit(batch);
        if (outcome.error != 0 && outcome.error != ENOENT && outcome.error != EPERM)
            throw explained(outcome);
        const auto still_there = table_state(reader_, name);
        if (!still_there)
            throw still_there.error();
        if (*still_there && (*still_there)->owner != 0)
            throw NftError(fmt::format("the table inet {} is still there, because another program "
                                       "owns it (netlink port {}); stop ubfd, and it goes",
                                       name, (*still_there)->owner),
                           EBUSY);
        if (*still_there)
            throw outcome.error != 0
                ? explained(outcome)
                : NftError(fmt::format("the table inet {0} is still there; remove it with 'nft "
                                       "delete table inet {0}'",
                                       name));
    }
}

std::optional<TableState> Installer::state() {
    const auto seen = table_state(reader_);
    if (!seen)
        throw seen.error();
    return *seen;
}

bool Installer::owned() {
    const auto seen = state();
    return seen && seen->owner != 0 && seen->owner == table_.port_id();
}

namespace {

constexpr const char* undoing = "undoing the probe";

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

void undo(Batch& batch, const char* table) {
    const Chain nowhere{"nowhere", "", {}, {}};
    batch.add(NFT_MSG_DELCHAIN, 0, {undoing}, [&](nlmsghdr* message) {
        nftnl_chain_nlmsg_build_payload(message, chain_object(table, nowhere).get());
    });
}

} // namespace

// The last step of the transaction must fail, so that nothing stays.
bool Installer::can(const std::vector<Expression>& expressions, const std::vector<Set>& sets) {
    constexpr const char* table = "ubf-probe";
    const Chain chain{"probe", "", {}, {}};
    auto batch = reader_.begin();
    add_table(batch, table);
    for (const auto& set : sets)
        if (std::ranges::find(expressions, set.name, set_of) != expressions.end())
            add_set(batch, table, set);
    add_chain(batch, table, chain);
    add_rule(batch, table, chain, {"probe", "", {{"", expressions}}});
    undo(batch, table);
    const auto outcome = reader_.commit(batch);
    if (outcome.failed.what == undoing)
        return true;
    if (outcome.error != ENOENT && outcome.error != EOPNOTSUPP)
        throw explained(outcome); // the failure has another cause
    return false;
}

// Runs a transaction of its own, which leaves nothing behind: the kernel admits one at a time.
void Installer::await_transactions() {
    constexpr const char* table = "ubf-probe";
    auto batch = reader_.begin();
    add_table(batch, table);
    undo(batch, table);
    static_cast<void>(reader_.commit(batch));
}

Ownership Installer::probe_ownership() {
    for (const auto ownership : {Ownership::persistent, Ownership::socket}) {
        constexpr const char* table = "ubf-probe";
        auto batch = reader_.begin();
        add_table(batch, table, flags_of(ownership));
        undo(batch, table);
        if (reader_.commit(batch).failed.what == undoing)
            return ownership;
    }
    return Ownership::none;
}

Result<std::vector<std::string>, NftError> Installer::missing(const Ruleset& ruleset) {
    return differences(reader_, ruleset);
}

Result<std::uint32_t, NftError> Installer::generation() {
    return nft::generation(reader_);
}

Result<std::map<std::string, RuleCounter>, NftError> Installer::counters() {
    std::map<std::string, RuleCounter> counters;
    const int error = reader_.dump(
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
