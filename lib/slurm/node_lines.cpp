#include "slurm/node_lines.hpp"

#include "base/escape.hpp"
#include "base/text.hpp"
#include "slurm/hostlist.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace ubf::slurm {

std::vector<PortRange> merged(std::vector<PortRange> ports) {
    std::ranges::sort(ports);
    std::vector<PortRange> result;
    for (const auto& range : ports)
        if (!result.empty() && range.first <= result.back().last + 1u)
            result.back().last = std::max(result.back().last, range.last);
        else
            result.push_back(range);
    return result;
}

void NodeLines::mistake(const Place& at, std::string what) {
    parsed_.mistakes.push_back({at.file, at.line, std::move(what)});
}

void NodeLines::take(const Line& line) {
    const auto value_of = [&](std::string_view key) {
        const auto found = std::ranges::find(line.pairs, key, &Pair::key);
        return found == line.pairs.end() ? std::string_view{} : std::string_view(found->value);
    };
    const std::string_view names = line.pairs.front().value;
    const bool is_front = line.pairs.front().key == "frontendname";
    const auto ports = value_of("port");
    if (to_lower(names) == "default") {
        if (!ports.empty())
            default_ports_ = ports;
        return;
    }
    auto addresses = value_of(is_front ? "frontendaddr" : "nodeaddr");
    if (addresses.empty())
        addresses = value_of("nodehostname");
    if (take_hosts(line.at, names, addresses))
        take_ports(line.at, ports.empty() ? default_ports_ : ports);
}

// One address may be that of all nodes of the line.
bool NodeLines::take_hosts(const Place& at, std::string_view names, std::string_view addresses) {
    const auto hosts = expand(names);
    if (!hosts) {
        mistake(at, fmt::format("NodeName: {}", hosts.error()));
        return false;
    }
    const auto places = expand(addresses);
    if (!places) {
        mistake(at, fmt::format("NodeAddr: {}", places.error()));
        return false;
    }
    if (places->size() > 1 && places->size() != hosts->size()) {
        mistake(at,
                fmt::format("NodeAddr has {} names for {} nodes", places->size(), hosts->size()));
        return false;
    }
    auto& nodes = parsed_.conf.nodes;
    if (nodes.size() + hosts->size() > most_names) {
        mistake(at, fmt::format("more than {} nodes", most_names));
        return false;
    }
    for (std::size_t i = 0; i < hosts->size(); ++i) {
        const auto& name = (*hosts)[i];
        nodes.push_back({name, places->empty()       ? name
                               : places->size() == 1 ? places->front()
                                                     : (*places)[i]});
    }
    return true;
}

void NodeLines::take_ports(const Place& at, std::string_view ports) {
    if (ports.empty()) {
        some_without_ = true;
        return;
    }
    // A list in brackets is one of Slurm's lists, with names that are numbers.
    const auto list = expand(ports);
    if (!list || list->empty())
        return mistake(at, fmt::format("Port={} is no port and no list of ports, like 17001 or "
                                       "[17001-17004]",
                                       escape(ports)));
    for (const auto& port : *list) {
        const auto range = to_ports(port);
        if (!range || range->first != range->last)
            return mistake(at, fmt::format("Port={}: {} is no port", escape(ports), escape(port)));
        ports_.push_back(*range);
    }
    ports_ = merged(std::move(ports_)); // so that many lines take little room
}

void NodeLines::finish() {
    auto& conf = parsed_.conf;
    if (some_without_ || ports_.empty())
        ports_.push_back({conf.node_port, conf.node_port});
    conf.node_ports = merged(std::move(ports_));
}

} // namespace ubf::slurm
