#include "config/config.hpp"

#include "base/escape.hpp"
#include "config/options.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fmt/format.h>
#include <fstream>
#include <optional>
#include <set>
#include <sstream>

namespace ubf {
namespace {

using config::fail_at;
using config::Option;
using config::Value;

// How many letters must change to make one word of the other (Levenshtein).
std::size_t distance(std::string_view a, std::string_view b) {
    std::vector<std::size_t> row(b.size() + 1);
    for (std::size_t j = 0; j <= b.size(); ++j)
        row[j] = j;
    for (std::size_t i = 1; i <= a.size(); ++i) {
        std::size_t diagonal = row[0];
        row[0] = i;
        for (std::size_t j = 1; j <= b.size(); ++j) {
            const std::size_t change = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
            diagonal = row[j];
            row[j] = std::min({row[j] + 1, row[j - 1] + 1, change});
        }
    }
    return row[b.size()];
}

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

std::set<std::string_view> keys_of(std::string_view section) {
    std::set<std::string_view> names;
    for (const auto& option : config::options())
        if (option.section == section)
            names.insert(option.key);
    if (section == "policy")
        names.insert("labels");
    return names;
}

std::optional<Label> parse_label(std::string_view text) {
    for (const auto origin :
         {LabelOrigin::slurm, LabelOrigin::selinux, LabelOrigin::pkey, LabelOrigin::map}) {
        const auto prefix = std::string(to_string(origin)) + ':';
        if (text.starts_with(prefix) && text.size() > prefix.size())
            return Label{origin, std::string(text.substr(prefix.size()))};
    }
    return std::nullopt;
}

// [policy.labels."slurm:physics"] allow = ["alice", "@physics"]
void read_labels(Config& config, const std::string& file, const toml::node& node, Names names) {
    const auto* labels = node.as_table();
    if (labels == nullptr)
        fail_at(file, node.source(),
                "policy.labels: not a table; write [policy.labels.\"slurm:physics\"]");
    for (const auto& [name, rule_node] : *labels) {
        const auto label = parse_label(name.str());
        if (!label)
            fail_at(file, name.source(),
                    fmt::format("'{}' is not a label; write its origin first, like "
                                "\"slurm:physics\"; origins are slurm, selinux, pkey and map",
                                escape(name.str())));
        const auto* table = rule_node.as_table();
        const auto* allow = table == nullptr ? nullptr : table->get("allow");
        if (allow == nullptr || table->size() != 1)
            fail_at(file, name.source(),
                    fmt::format("label {} takes exactly one key, allow, like allow = [\"alice\", "
                                "\"@physics\"]",
                                escape(name.str())));
        LabelRule rule;
        for (const auto& item : Value(file, "allow", *allow, names).array()) {
            if (item.is_group()) {
                if (const auto group = item.group())
                    rule.groups.push_back(*group);
            } else if (const auto uids = item.uids()) {
                rule.users.push_back(*uids);
            }
        }
        config.policy.labels.emplace(*label, std::move(rule));
    }
}

void read_section(Config& config, const std::string& file, std::string_view section,
                  const toml::table& table, Names names) {
    for (const auto& [key, node] : table) {
        if (section == "policy" && key.str() == "labels") {
            read_labels(config, file, node, names);
            continue;
        }
        const auto options = config::options();
        const auto name = key.str();
        const auto option = std::ranges::find_if(options, [&](const Option& candidate) {
            return candidate.section == section && candidate.key == name;
        });
        if (option == options.end())
            fail_at(file, key.source(),
                    fmt::format("[{}] has no key '{}'; did you mean '{}'?", section,
                                escape(key.str()), nearest(key.str(), keys_of(section))));
        option->set(config, Value(file, fmt::format("{}.{}", section, key.str()), node, names));
    }
}

void check_together(const Config& config, const std::string& file) {
    if (config.queue.first + std::max<unsigned>(config.queue.count, 1) > 65536)
        throw ConfigError(fmt::format("{}:1:1: queue.first {} and queue.count {} run past the last "
                                      "queue, 65535; lower one of them",
                                      file, config.queue.first, config.queue.count));
}

Config read(const toml::table& root, const std::string& file, Names names) {
    Config config;
    for (const auto& [name, node] : root) {
        const auto known = sections();
        if (!known.contains(name.str()))
            fail_at(file, name.source(),
                    fmt::format("there is no section [{}]; did you mean [{}]?", escape(name.str()),
                                nearest(name.str(), known)));
        const auto* table = node.as_table();
        if (table == nullptr)
            fail_at(file, name.source(),
                    fmt::format("{} is a section; write [{}] on a line of its own", name.str(),
                                name.str()));
        read_section(config, file, name.str(), *table, names);
    }
    check_together(config, file);
    return config;
}

} // namespace

Config parse_config(std::string_view text, const std::string& name, Names names) {
    toml::table root;
    try {
        root = toml::parse(text, name);
    } catch (const toml::parse_error& error) {
        fail_at(name, error.source(),
                fmt::format("{}; see toml.io for the syntax", error.description()));
    }
    return read(root, name, names);
}

Config load_config(const std::filesystem::path& file, Names names) {
    errno = 0;
    std::ifstream stream(file, std::ios::binary);
    std::ostringstream text;
    if (stream && stream.peek() != std::ifstream::traits_type::eof())
        text << stream.rdbuf();
    if (errno != 0) // a folder opens well, and only can't be read
        throw ConfigError(fmt::format("{}: can't be read: {}; name the configuration with --config",
                                      file.string(), std::strerror(errno)));
    return parse_config(text.str(), file.string(), names);
}

std::string describe_options() {
    std::string text = "Configuration, section by section, with the defaults:\n";
    std::string_view section;
    for (const auto& option : config::options()) {
        if (option.section != section)
            text += fmt::format("\n  [{}]\n", section = option.section);
        text += fmt::format("  {} = {}\n      {}\n", option.key, option.default_value, option.help);
    }
    return text;
}

} // namespace ubf
