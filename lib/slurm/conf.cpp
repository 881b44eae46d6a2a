#include "slurm/conf.hpp"

#include "base/escape.hpp"
#include "base/text.hpp"
#include "slurm/lines.hpp"
#include "slurm/node_lines.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <map>
#include <span>
#include <utility>

namespace ubf::slurm {
namespace {

// Settings that stand once: Slurm takes the last.
enum class Key : std::uint8_t {
    controller_port,
    node_port,
    database_port,
    database_type,
    database_host,
    database_backup,
    srun_ports,
    user,
    control_machine,
    control_address,
    backup_controller,
    backup_address,
    count_
};

constexpr std::array<std::pair<std::string_view, Key>, 17> keys{{
    {"slurmctldport", Key::controller_port},
    {"slurmdport", Key::node_port},
    {"accountingstorageport", Key::database_port},
    {"defaultstorageport", Key::database_port},
    {"slurmdbdport", Key::database_port},
    {"accountingstoragetype", Key::database_type},
    {"defaultstoragetype", Key::database_type},
    {"accountingstoragehost", Key::database_host},
    {"defaultstoragehost", Key::database_host},
    {"slurmdbdhost", Key::database_host},
    {"accountingstoragebackuphost", Key::database_backup},
    {"srunportrange", Key::srun_ports},
    {"slurmuser", Key::user},
    {"controlmachine", Key::control_machine},
    {"controladdr", Key::control_address},
    {"backupcontroller", Key::backup_controller},
    {"backupaddr", Key::backup_address},
}};

auto find_key(std::string_view name) {
    return std::ranges::find(keys, name, [](const auto& candidate) { return candidate.first; });
}

bool is_known(std::string_view name) {
    return name == "slurmctldhost" || find_key(name) != keys.end();
}

class Reader {
  public:
    Reader(Parsed& parsed, const std::string& file)
      : parsed_(parsed)
      , file_(file)
      , nodes_(parsed) {}

    void take(const Line& line) {
        const auto& key = line.pairs.front().key;
        if (key == "nodename" || key == "frontendname")
            return nodes_.take(line);
        take(line, line.pairs.front());
        for (const auto& pair : std::span(line.pairs).subspan(1))
            if (is_known(pair.key))
                mistake(line.at, fmt::format("'{}' stands behind another setting, where Slurm does "
                                             "not read it; write it on a line of its own",
                                             escape(pair.key)));
    }

    void finish() {
        read_controllers();
        read_ports();
        read_database();
        if (const auto* user = find(Key::user))
            parsed_.conf.user = user->value;
        nodes_.finish();
        warn();
    }

  private:
    struct Given {
        Place at;
        std::string value;
    };

    void take(const Line& line, const Pair& pair) {
        if (pair.key == "slurmctldhost") {
            read_controller({line.at, pair.value});
            return;
        }
        const auto* const known = find_key(pair.key);
        if (known == keys.end())
            return;
        auto& given = given_[known->second];
        // AccountingStoragePort and the like win over DefaultStoragePort, as in Slurm.
        if (!given.value.empty() && pair.key.starts_with("defaultstorage"))
            return;
        given = {line.at, pair.value};
    }

    const Given* find(Key key) const {
        const auto found = given_.find(key);
        return found == given_.end() ? nullptr : &found->second;
    }

    void mistake(const Place& at, std::string what) {
        parsed_.mistakes.push_back({at.file, at.line, std::move(what)});
    }

    // "name" or "name(address)".
    void read_controller(const Given& given) {
        auto name = std::string_view(given.value);
        auto address = name;
        if (const auto open = name.find('('); open != std::string_view::npos) {
            if (!name.ends_with(')') || open == 0 || name.size() - open < 3)
                return mistake(given.at, fmt::format("SlurmctldHost={} is no NAME and no "
                                                     "NAME(ADDRESS)",
                                                     escape(name)));
            address = name.substr(open + 1, name.size() - open - 2);
            name = name.substr(0, open);
        }
        parsed_.conf.controllers.push_back({std::string(name), std::string(address)});
    }

    // The settings of Slurm before 18.08 count if SlurmctldHost is not there.
    void read_controllers() {
        constexpr std::pair<Key, Key> old[] = {{Key::control_machine, Key::control_address},
                                               {Key::backup_controller, Key::backup_address}};
        auto& controllers = parsed_.conf.controllers;
        if (!controllers.empty())
            return;
        for (const auto& [machine, address] : old)
            if (const auto* name = find(machine)) {
                const auto* at = find(address);
                controllers.push_back({name->value, at == nullptr ? name->value : at->value});
            }
        if (controllers.empty())
            mistake({file_, 0}, "no SlurmctldHost; this is no slurm.conf");
    }

    std::optional<PortRange> ports(Key key, std::string_view name) {
        const auto* given = find(key);
        if (given == nullptr)
            return std::nullopt;
        const auto range = to_ports(given->value);
        if (!range)
            mistake(given->at, fmt::format("{}={} is no port and no range of ports, like "
                                           "6817 or 60001-63000",
                                           name, escape(given->value)));
        return range;
    }

    std::optional<Port> port(Key key, std::string_view name) {
        const auto range = ports(key, name);
        if (range && range->first != range->last) {
            mistake(find(key)->at, fmt::format("{} is one port, not a range", name));
            return std::nullopt;
        }
        return range ? std::optional(range->first) : std::nullopt;
    }

    void read_ports() {
        auto& conf = parsed_.conf;
        conf.controller_ports =
            ports(Key::controller_port, "SlurmctldPort").value_or(conf.controller_ports);
        conf.node_port = port(Key::node_port, "SlurmdPort").value_or(conf.node_port);
        conf.database_port =
            port(Key::database_port, "AccountingStoragePort").value_or(conf.database_port);
        conf.srun_ports = ports(Key::srun_ports, "SrunPortRange");
    }

    void read_database() {
        const auto* type = find(Key::database_type);
        if (type == nullptr || to_lower(type->value) != "accounting_storage/slurmdbd")
            return;
        const auto* host = find(Key::database_host);
        const std::string name = host == nullptr ? "localhost" : host->value;
        parsed_.conf.databases.push_back({name, name});
        if (const auto* backup = find(Key::database_backup))
            parsed_.conf.databases.push_back({backup->value, backup->value});
    }

    void warn() {
        auto& conf = parsed_.conf;
        if (!conf.srun_ports)
            conf.warnings.push_back(fmt::format(
                "{}: no SrunPortRange: srun listens on any port, and slurmstepd can't reach it "
                "through ubfd; write SrunPortRange=60001-63000",
                file_));
        if (conf.nodes.empty())
            conf.warnings.push_back(
                fmt::format("{}: no NodeName with a name: write the nodes' addresses into "
                            "slurm.submit_hosts",
                            file_));
    }

    Parsed& parsed_;
    const std::string& file_;
    NodeLines nodes_;
    std::map<Key, Given> given_;
};

} // namespace

std::string to_string(const Mistake& mistake) {
    return mistake.line == 0 ? fmt::format("{}: {}", mistake.file, mistake.what)
                             : fmt::format("{}:{}: {}", mistake.file, mistake.line, mistake.what);
}

Parsed parse_conf(std::string_view text, const std::string& file, const Open& open) {
    Parsed parsed;
    Reader reader(parsed, file);
    for (const auto& line : read_lines(text, file, open, parsed.mistakes))
        reader.take(line);
    reader.finish();
    return parsed;
}

} // namespace ubf::slurm
