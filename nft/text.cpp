#include "nft/text.hpp"

#include <fmt/format.h>

namespace ubf::nft {
namespace {

constexpr std::string_view heading = R"(#!/usr/sbin/nft -f
# ubf: a user's programs talk to each other, and to nobody else's.
#
# Made by `ubfctl ruleset` from the configuration; import it with `nft -f` and set
# ruleset.manage = false, or let ubfd install the same by itself. It touches no table but its own,
# and can be imported again while it is in use: packets that wait for ubfd keep waiting.

)";

std::string_view type_text(SetType type) {
    switch (type) {
    case SetType::ipv4:
        return "type ipv4_addr; flags interval;";
    case SetType::ipv6:
        return "type ipv6_addr; flags interval;";
    case SetType::port:
        return "type inet_service; flags interval;";
    case SetType::interface:
        return "type ifname;";
    }
    return "";
}

std::string variables_text(const Ruleset& ruleset) {
    std::string text;
    for (const auto& variable : ruleset.variables) {
        const auto line = fmt::format("define {} = {}", variable.name, variable.value);
        text +=
            variable.why.empty() ? line + '\n' : fmt::format("{:<40} # {}\n", line, variable.why);
    }
    for (const auto& set : ruleset.sets) {
        if (set.elements.empty())
            continue;
        std::string elements;
        for (const auto& element : set.elements)
            elements += fmt::format("{}{}", elements.empty() ? "" : ", ", element.text);
        text += fmt::format("define {} = {{ {} }}\n", set.name, elements);
    }
    return text;
}

// Adds what isn't there, then empties what is: no base chain is ever deleted, or the kernel would
// drop every packet that waits in a queue.
std::string skeleton_text(const Ruleset& ruleset) {
    auto text = fmt::format("\nadd table inet {}\n", table_name);
    for (const auto& set : ruleset.sets)
        text += fmt::format("add set inet {0} {1} {{ {2} }}\nflush set inet {0} {1}\n", table_name,
                            set.name, type_text(set.type));
    for (const auto& chain : ruleset.chains) {
        text += fmt::format("add chain inet {} {}", table_name, chain.name);
        if (chain.priority)
            text += fmt::format(" {{ type filter hook input priority {}; policy accept; }}",
                                *chain.priority == 0 ? std::string("filter")
                                                     : fmt::format("filter + {}", *chain.priority));
        text += fmt::format("\nflush chain inet {} {}\n", table_name, chain.name);
    }
    return text;
}

std::string chain_text(const Chain& chain) {
    std::string text = fmt::format("    # {}\n    chain {} {{\n", chain.why, chain.name);
    for (const auto& rule : chain.rules) {
        if (!rule.why.empty())
            text += fmt::format("        # {}\n", rule.why);
        text += "        ";
        for (const auto& statement : rule.statements)
            text += statement.text + ' ';
        text += fmt::format("comment \"{}\"\n", rule.id);
    }
    return text + "    }\n";
}

} // namespace

std::string to_text(const Ruleset& ruleset) {
    std::string text(heading);
    text += variables_text(ruleset);
    text += skeleton_text(ruleset);
    text += fmt::format("\ntable inet {} {{\n", table_name);
    for (const auto& set : ruleset.sets)
        if (!set.elements.empty())
            text += fmt::format("    set {} {{ {} elements = ${}; }}\n", set.name,
                                type_text(set.type), set.name);
    for (const auto& chain : ruleset.chains)
        text += '\n' + chain_text(chain);
    return text + "}\n";
}

} // namespace ubf::nft
