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
    if (const auto nodes = take_hosts(line.at, names, addresses); nodes != 0)
        take_ports(line.at, nodes, ports.empty() ? default_ports_ : ports);
}

// One address may be that of all nodes of the line.
std::size_t NodeLines::take_hosts(const Place& at, std::string_view names,
                                  std::string_view addresses) {
    const auto hosts = expand(names);
    if (!hosts) {
        mistake(at, fmt::format("NodeName: {}", hosts.error()));
        return 0;
    }
    const auto places = expand(addresses);
    if (!places) {
        mistake(at, fmt::format("NodeAddr: {}", places.error()));
        return 0;
    }
    if (places->size() > 1 && places->size() != hosts->size()) {
        mistake(at,
                fmt::format("NodeAddr has {} names for {} nodes", places->size(), hosts->size()));
        return 0;
    }
    auto& nodes = parsed_.conf.nodes;
    if (nodes.size() + hosts->size() > most_names) {
        mistake(at, fmt::format("more than {} nodes", most_names));
        return 0;
    }
    for (std::size_t i = 0; i < hosts->size(); ++i) {
        const auto& name = (*hosts)[i];
        nodes.push_back({name, places->empty()       ? name
                               : places->size() == 1 ? places->front()
                                                     : (*places)[i]});
    }
    return hosts->size();
}

// Each list is at most as long as that of the nodes, so all lines together have as many ports as
// nodes.
void NodeLines::take_ports(const Place& at, std::size_t nodes, std::string_view ports) {
    if (ports.empty()) {
        some_without_ = true;
        return;
    }
    if (bad_ports_)
        return;
    bad_ports_ = true;
    // A list in brackets is one of Slurm's lists, with names that are numbers.
    const auto list = expand(ports);
    if (!list || list->empty())
        return mistake(at, fmt::format("Port={} is no port and no list of ports, like 17001 or "
                                       "[17001-17004]",
                                       escape(ports)));
    if (list->size() > 1 && list->size() != nodes)
        return mistake(at, fmt::format("Port={} has {} ports for {} nodes", escape(ports),
                                       list->size(), nodes));
    for (const auto& port : *list) {
        const auto range = to_ports(port);
        if (!range || range->first != range->last)
            return mistake(at, fmt::format("Port={}: {} is no port", escape(ports), escape(port)));
        ports_.set(range->first);
    }
    bad_ports_ = false;
}

void NodeLines::finish() {
    auto& conf = parsed_.conf;
    if (some_without_ || ports_.none())
        ports_.set(conf.node_port);
    std::vector<PortRange> ports;
    ports.reserve(ports_.count());
    for (std::size_t port = 0; port < ports_.size(); ++port)
        if (ports_.test(port))
            ports.push_back({static_cast<Port>(port), static_cast<Port>(port)});
    conf.node_ports = merged(std::move(ports));
}

} // namespace ubf::slurm
