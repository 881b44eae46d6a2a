#include "config/config.hpp"
#include "config/slurm.hpp"

#include "base/escape.hpp"
#include "base/nearest.hpp"
#include "config/identity.hpp"
#include "config/options.hpp"
#include "config/read.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <optional>
#include <set>

namespace ubf {
namespace {

using config::fail_at;
using config::Option;
using config::Reading;
using config::Value;

std::string nearest(std::string_view word, const std::set<std::string_view>& known) {
    const auto best = std::ranges::min_element(
        known, {}, [&](std::string_view other) { return distance(word.substr(0, 64), other); });
    return std::string(*best);
}

std::set<std::string_view> sections() {
    std::set<std::string_view> names;
    for (const auto& option : config::options())
        names.insert(option.section);
    return names;
}

const toml::table& table_of(const std::string& file, std::string_view name, const toml::node& node,
                            std::string_view example) {
    if (const auto* table = node.as_table())
        return *table;
    fail_at(file, node.source(), fmt::format("{}: not a table; write {}", name, example));
}

Label label_of(const std::string& file, const toml::source_region& where, std::string_view text) {
    if (auto label = parse_label(text))
        return std::move(*label);
    fail_at(file, where,
            fmt::format("'{}' is not a label; write its origin first, like \"slurm:physics\"; "
                        "origins are slurm, selinux, pkey and map, and a name has up to {} "
                        "printable characters without blanks and quotes",
                        escape(text), max_label_name));
}

// Adds nothing if the item is a name and names are passed over.
void add_user_or_group(const Value& item, std::vector<UidRange>& users, std::vector<Gid>& groups) {
    if (item.is_group()) {
        if (const auto group = item.group())
            groups.push_back(*group);
    } else if (const auto uids = item.uids()) {
        users.push_back(*uids);
    }
}

// Calls `action` for each entry, and goes on after a mistake.
template<typename Action>
void each(const Reading& reading, const toml::table& table, Action action) {
    for (auto&& entry : table)
        reading.mistakes.of([&] { action(entry.first, entry.second); });
}

// [policy.labels."slurm:physics"] allow = ["alice", "@physics"]
void read_label_rules(Config& config, const Reading& reading, const toml::node& node) {
    const auto& file = reading.file;
    const auto& rules = table_of(file, "policy.labels", node, "[policy.labels.\"slurm:physics\"]");
    each(reading, rules, [&](const toml::key& name, const toml::node& rule_node) {
        const auto label = label_of(file, name.source(), name.str());
        const auto* table = rule_node.as_table();
        const auto* allow = table == nullptr ? nullptr : table->get("allow");
        if (allow == nullptr || table->size() != 1)
            fail_at(file, name.source(),
                    fmt::format("label {} takes exactly one key, allow, like allow = [\"alice\", "
                                "\"@physics\"]",
                                escape(name.str())));
        LabelRule rule;
        Value(reading, "allow", *allow).each([&](const Value& item) {
            add_user_or_group(item, rule.users, rule.groups);
        });
        if (!config.policy.labels.emplace(label, std::move(rule)).second)
            fail_at(file, name.source(),
                    fmt::format("label {} stands here twice; write it once", to_string(label)));
    });
}

// "slurm:physics" = "map:teamx"
void read_aliases(Config& config, const Reading& reading, const toml::node& node) {
    const auto& file = reading.file;
    auto& aliases = config.policy.aliases;
    const auto& table = table_of(file, "labels.aliases", node,
                                 "[labels.aliases] and \"slurm:physics\" = \"map:teamx\"");
    each(reading, table, [&](const toml::key& name, const toml::node& target) {
        const auto label = label_of(file, name.source(), name.str());
        const Value value(reading, fmt::format("labels.aliases.{}", to_string(label)), target);
        aliases.insert_or_assign(label, label_of(file, target.source(), value.string()));
    });
    each(reading, table, [&](const toml::key&, const toml::node& target) {
        const auto label = parse_label(target.value_or(std::string()));
        if (label && aliases.contains(*label))
            fail_at(file, target.source(),
                    fmt::format("{} is itself an alias; write what it stands for, {}",
                                to_string(*label), to_string(aliases.at(*label))));
    });
}

// teamx = ["alice", "2000-2999", "@physics", "account:chem", "partition:gpu"]
void read_label_map(Config& config, const Reading& reading, const toml::node& node) {
    const auto& file = reading.file;
    const auto& table =
        table_of(file, "labels.map", node, "[labels.map] and teamx = [\"alice\", \"@physics\"]");
    each(reading, table, [&](const toml::key& name, const toml::node& members) {
        LabelMapping mapping{label_of(file, name.source(), fmt::format("map:{}", name.str()))};
        const Value value(reading, fmt::format("labels.map.{}", mapping.label.name), members);
        value.each([&](const Value& item) {
            if (const auto account = item.after("account:")) {
                mapping.accounts.push_back(*account);
            } else if (const auto partition = item.after("partition:")) {
                mapping.partitions.push_back(*partition);
            } else {
                add_user_or_group(item, mapping.users, mapping.groups);
            }
        });
        config.labels.map.push_back(std::move(mapping));
    });
}

// "10.149.0.0/16" = "10.1.0.0/16"
void read_management(Config& config, const Reading& reading, const toml::node& node) {
    const auto& file = reading.file;
    const std::string key = "fabric.management";
    const auto& table =
        table_of(file, key, node, "[fabric.management] and \"10.149.0.0/16\" = \"10.1.0.0/16\"");
    each(reading, table, [&](const toml::key& name, const toml::node& target) {
        const auto from = Prefix::parse(name.str());
        if (!from)
            fail_at(file, name.source(),
                    fmt::format("{}: '{}' is not a range of addresses; write it like "
                                "\"10.149.0.0/16\"",
                                key, escape(name.str())));
        const auto to = Value(reading, key, target).prefix();
        if (!config.fabric.management.add(*from, to))
            fail_at(file, name.source(),
                    fmt::format("{}: {} and {} must be as long as each other, and {} may overlap "
                                "no other",
                                key, to_string(*from), to_string(to), to_string(*from)));
    });
}

// Tables whose keys the administrator chooses.
struct NamedTable {
    std::string_view section;
    std::string_view key;
    void (*read)(Config& config, const Reading& reading, const toml::node& node);
};

constexpr NamedTable named_tables[] = {
    {"policy", "labels", read_label_rules},
    {"fabric", "management", read_management},
    {"labels", "map", read_label_map},
    {"labels", "aliases", read_aliases},
    {"identity", "classes", config::read_classes},
};

// Settings of older versions that a file may still hold. Each is ignored with a warning.
struct Retired {
    std::string_view section;
    std::string_view key;
};

constexpr Retired retired[] = {{"ident", "push"}, {"ident", "push_group"}};

bool is_retired(std::string_view section, std::string_view key) {
    return std::ranges::any_of(retired, [&](const Retired& candidate) {
        return candidate.section == section && candidate.key == key;
    });
}

std::set<std::string_view> keys_of(std::string_view section) {
    std::set<std::string_view> names;
    for (const auto& option : config::options())
        if (option.section == section)
            names.insert(option.key);
    for (const auto& table : named_tables)
        if (table.section == section)
            names.insert(table.key);
    return names;
}

void read_section(Config& config, const Reading& reading, std::string_view section,
                  const toml::table& table) {
    each(reading, table, [&](const toml::key& key, const toml::node& node) {
        const auto name = key.str();
        const auto* const table_reader =
            std::ranges::find_if(named_tables, [&](const NamedTable& candidate) {
                return candidate.section == section && candidate.key == name;
            });
        if (table_reader != std::end(named_tables))
            return table_reader->read(config, reading, node);
        if (is_retired(section, name)) {
            const auto& where = key.source();
            config.source.retired.push_back(
                fmt::format("{}.{} does nothing any more; take line {} of {} out", section, name,
                            where.begin.line, where.path ? *where.path : reading.file));
            return;
        }
        const auto options = config::options();
        const auto option = std::ranges::find_if(options, [&](const Option& candidate) {
            return candidate.section == section && candidate.key == name;
        });
        if (option == options.end())
            fail_at(reading.file, key.source(),
                    fmt::format("[{}] has no key '{}'; did you mean '{}'?", section, escape(name),
                                nearest(name, keys_of(section))));
        option->set(config, Value(reading, fmt::format("{}.{}", section, name), node));
    });
}

// The one that opens last would take the place of the other: nobody could ask that one any more.
void check_sockets(const Config& config, const toml::table& root, const std::string& file) {
    struct Socket {
        const char* section;
        const char* key;
        std::filesystem::path path;
    };
    const auto& control = config.control;
    const Socket sockets[] = {{"control", "socket", control.socket},
                              {"control", "user_socket", control.user_socket},
                              {"portal", "socket", config.portal.socket}};
    // ubf-portal asks ubfd there.
    const auto portals = control.socket.parent_path() / "portal.sock";
    for (const auto* one = std::begin(sockets); one != std::end(sockets); ++one) {
        const auto path = one->path.lexically_normal();
        const bool is_taken = path == portals.lexically_normal() ||
                              std::any_of(std::begin(sockets), one, [&](const Socket& other) {
                                  return path == other.path.lexically_normal();
                              });
        if (is_taken && !path.empty())
            fail_at(file, root, one->section, one->key,
                    fmt::format("{}.{}: {} is another socket of ubf already; write another path",
                                one->section, one->key, path.string()));
    }
}

// Each mistake is at the key that is to be changed.
void check_together(const Config& config, const toml::table& root, const std::string& file) {
    if (config.queue.first + std::max<unsigned>(config.queue.count, 1) > 65536)
        fail_at(file, root, "queue", "first",
                fmt::format("queue.first {} and queue.count {} run past the last queue, 65535; "
                            "lower one of them",
                            config.queue.first, config.queue.count));
    for (const auto& prefix : config.policy.unready) {
        const auto is_in = [&](const std::vector<Prefix>& ranges) {
            return contains(ranges, prefix.first()) && contains(ranges, prefix.last());
        };
        if (!is_in(config.peers.ranges) && !is_in(config.fabric.peers))
            fail_at(file, root, "peers", "unready",
                    fmt::format("peers.unready: {} is not within peers.ranges; add it there, or "
                                "leave it out: it is outside then",
                                to_string(prefix)));
    }
    if (config.policy.require_label && !config.labels.any())
        fail_at(file, root, "policy", "require_label",
                "policy.require_label: nothing gives labels; turn on labels.slurm or "
                "labels.selinux, or write a [labels.map]");
    const bool by_job = std::ranges::any_of(config.labels.map, [](const LabelMapping& mapping) {
        return !mapping.accounts.empty() || !mapping.partitions.empty();
    });
    if (by_job && !config.labels.slurm)
        fail_at(file, root, "labels", "map",
                "labels.map: accounts and partitions are those of Slurm's jobs; turn on "
                "labels.slurm");
}

// Finds the section of a key that was written above all sections, where TOML puts it into none.
std::optional<std::string_view> section_with(std::string_view key) {
    for (const auto section : sections())
        if (keys_of(section).contains(key))
            return section;
    return std::nullopt;
}

void read_entry(Config& config, const Reading& reading, const toml::key& name,
                const toml::node& node) {
    const auto known = sections();
    const auto* table = node.as_table();
    if (known.contains(name.str()) && table != nullptr)
        return read_section(config, reading, name.str(), *table);
    const auto fail = [&](std::string_view what) { fail_at(reading.file, name.source(), what); };
    if (known.contains(name.str()))
        fail(fmt::format("{0} is a section; write [{0}] on a line of its own", name.str()));
    if (table != nullptr)
        fail(fmt::format("there is no section [{}]; did you mean [{}]?", escape(name.str()),
                         nearest(name.str(), known)));
    if (const auto section = section_with(name.str()))
        fail(fmt::format("the key '{}' stands outside all sections; write it below [{}]",
                         name.str(), *section));
    fail(fmt::format("the key '{}' stands outside all sections, and none has it; 'ubfd --help' "
                     "lists them",
                     escape(name.str())));
}

} // namespace

Config config::read(const toml::table& root, const std::string& file, Names names,
                    const SlurmTexts& texts) {
    Config config;
    Mistakes mistakes;
    const Reading reading{file, names, config.unknown.names, mistakes};
    each(reading, root, [&](const toml::key& name, const toml::node& node) {
        read_entry(config, reading, name, node);
    });
    if (config.unknown.ignored_group) // until its name is known, any group could be this one
        config.policy.same_group = false;
    for (auto* ranges : {&config.peers.ranges, &config.fabric.peers})
        *ranges = without(std::move(*ranges), config.peers.except);
    mistakes.of([&] { check_together(config, root, file); });
    mistakes.of([&] { check_sockets(config, root, file); });
    mistakes.of([&] { check_identity(config, root, file); });
    mistakes.of([&] { add_slurm(config, names, texts); });
    mistakes.check();
    return config;
}

std::string describe_options() {
    std::string text = "Configuration, section by section, with the defaults:\n";
    std::string_view section;
    for (const auto& option : config::options()) {
        if (option.section != section)
            text += fmt::format("\n  [{}]\n", section = option.section);
        const auto* note = option.needs_restart == nullptr ? "" : " (needs a restart)";
        text += fmt::format("  {} = {}\n      {}{}\n", option.key, option.default_value,
                            option.help, note);
    }
    return text;
}

} // namespace ubf
