#include "node_list.hpp"

#include "base/text.hpp"
#include "daemon/ubfctl/names.hpp"
#include "files.hpp"
#include "flow/host_addresses.hpp"
#include "slurm/conf.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace ubf::ctl {
namespace {

void check(Terms& terms, const std::string& where) {
    if (!identity::is_name(terms.name, identity::max_name))
        throw FileError(
            fmt::format("{}: '{}' is no node's name: a-z, 0-9, '.', '_', '-'", where, terms.name));
    if (!identity::is_name(terms.node_class, identity::max_class))
        throw FileError(fmt::format("{}: {} has no class; write it behind the addresses, or give "
                                    "--class",
                                    where, terms.name));
    terms.addresses = identity::in_order(std::move(terms.addresses));
    if (terms.addresses.empty() || terms.addresses.size() > identity::max_prefixes)
        throw FileError(fmt::format("{}: {} has {} addresses; a node has 1 to {}", where,
                                    terms.name, terms.addresses.size(), identity::max_prefixes));
}

std::vector<Prefix> look_up(const std::string& name) {
    if (const auto address = Prefix::parse(name))
        return {*address};
    auto places = host_places(name);
    // Such an address needs an interface beside it.
    std::erase_if(places, [](const Prefix& place) { return place.first().is_on_link_only(); });
    return places;
}

} // namespace

std::vector<Terms> parse_node_list(std::string_view text, const std::string& name,
                                   const std::string& node_class) {
    std::vector<Terms> nodes;
    for (unsigned number = 1; !text.empty(); ++number) {
        const auto where = fmt::format("{}:{}", name, number);
        auto words = std::string(split(text, '\n'));
        std::ranges::replace_if(
            words, [](char c) { return c == ',' || c == '\t' || c == '\r' || c == ';'; }, ' ');
        std::string_view rest(words);
        Terms terms;
        while (!rest.empty()) {
            const auto word = split(rest, ' ');
            if (word.starts_with('#'))
                break;
            if (word.empty())
                continue;
            if (terms.name.empty())
                terms.name = to_lower(word);
            else if (const auto prefix = Prefix::parse(word))
                terms.addresses.push_back(*prefix);
            else if (terms.node_class.empty() && identity::is_name(word, identity::max_class))
                terms.node_class = word;
            else
                throw FileError(fmt::format("{}: '{}' is neither an address nor a class", where,
                                            std::string(word.substr(0, 64))));
        }
        if (terms.name.empty())
            continue;
        if (terms.node_class.empty())
            terms.node_class = node_class;
        check(terms, where);
        nodes.push_back(std::move(terms));
    }
    return nodes;
}

std::vector<Terms> nodes_of_slurm_conf(const std::filesystem::path& file,
                                       const std::string& node_class) {
    const auto open = [](const std::string& path) -> std::optional<std::string> {
        try {
            return read_file(path, slurm::most_bytes);
        } catch (const FileError&) {
            return std::nullopt;
        }
    };
    const auto parsed = slurm::parse_conf(read_file(file, slurm::most_bytes), file.string(), open);
    if (!parsed.mistakes.empty())
        throw FileError(slurm::to_string(parsed.mistakes.front()));
    std::vector<Terms> nodes;
    for (const auto& host : parsed.conf.nodes) {
        Terms terms{to_lower(host.name), node_class, look_up(host.address), false};
        check(terms, file.string());
        nodes.push_back(std::move(terms));
    }
    return nodes;
}

} // namespace ubf::ctl
