#include "nft/text.hpp"

#include "nft/key.hpp"

#include <fmt/format.h>
#include <netinet/in.h>

#include <linux/netfilter.h>
#include <linux/netfilter_ipv4.h>

namespace ubf::nft {
namespace {

constexpr std::string_view heading = R"(#!/usr/sbin/nft -f
# ubf: programs of one user, or of one group, talk to each other, and nobody else to them.
#
# Made from ubfd's configuration by 'ubfctl ruleset'. Either ubfd installs the same by itself, or you
# import it with 'nft -f' and set ruleset.manage = false. It touches no table but its own, and can be
# imported again at any time: no base chain is deleted, so packets that wait for ubfd keep waiting.
#
# A new connection's way: gate (input, priority 87) queues its first packet; ubfd writes its
# verdict into three bits of the packet's mark; verdict (input, 88) carries it out. Whatever comes there
# without a mark had no ubfd to judge it. Chains that filter at lower priorities come first.

)";

constexpr std::size_t columns = 100;

// As comment lines, broken between words.
std::string comment(std::string_view text, std::string_view indent) {
    std::string result;
    std::size_t used = 0; // of the line; 0: none begun
    while (!text.empty()) {
        const auto word = text.substr(0, text.find(' '));
        text.remove_prefix(std::min(text.size(), word.size() + 1));
        if (used != 0 && used + 1 + word.size() > columns) {
            result += '\n';
            used = 0;
        }
        if (used == 0) {
            result += fmt::format("{}#", indent);
            used = indent.size() + 1;
        }
        result += fmt::format(" {}", word);
        used += 1 + word.size();
    }
    return result.empty() ? result : result + '\n';
}

std::string definition(const std::string& name, const std::string& value, const std::string& why) {
    const auto line = fmt::format("define {} = {}", name, value);
    return why.empty() ? line + '\n' : fmt::format("{:<48} # {}\n", line, why);
}

std::string definitions(const Ruleset& ruleset) {
    std::string text;
    for (const auto& variable : ruleset.variables)
        text += definition(variable.name, variable.value, variable.why);
    for (const auto& set : ruleset.sets) {
        if (set.is_dynamic()) {
            if (!set.why.empty())
                text +=
                    fmt::format("# {}{}: {}\n", set.name,
                                set.name.ends_with('4') ? ", and the like of IPv6" : "", set.why);
            continue;
        }
        if (set.elements.empty()) { // nft can't define an empty list
            text += fmt::format("# {}: none\n", set.name);
            continue;
        }
        std::string elements;
        for (const auto& element : set.elements)
            elements += fmt::format("{}{}", elements.empty() ? "" : ", ", element.text);
        text += definition(set.name, fmt::format("{{ {} }}", elements), set.why);
    }
    return text;
}

std::string properties_of(const Set& set) {
    auto text = fmt::format("type {};", key_type(set.type).name);
    if (set.is_interval())
        text += " flags interval;";
    if (set.is_dynamic())
        text += fmt::format(" size {}; flags timeout{};", set.room,
                            set.updated_by_packets ? ",dynamic" : "");
    return text;
}

std::string priority_of(const Hook& hook) {
    if (hook.priority == NF_IP_PRI_RAW)
        return "raw";
    if (hook.priority == NF_IP_PRI_FILTER)
        return "filter";
    constexpr std::int32_t near = 10; // as nft itself writes it
    return hook.priority > near ? std::to_string(hook.priority)
                                : fmt::format("filter + {}", hook.priority);
}

std::string_view name_of(const Hook& hook) {
    switch (hook.number) {
    case NF_INET_PRE_ROUTING:
        return "prerouting";
    case NF_INET_LOCAL_OUT:
        return "output";
    default:
        return "input";
    }
}

std::string hook_of(const Chain& chain) {
    if (!chain.hook)
        return "";
    return fmt::format("type filter hook {} priority {}; policy accept;", name_of(*chain.hook),
                       priority_of(*chain.hook));
}

// Adds missing objects, and empties existing ones.
std::string skeleton(const Ruleset& ruleset) {
    auto text = fmt::format("\n# What is there already stays, but empty: all of this is one "
                            "transaction.\nadd table inet {}\n",
                            table_name);
    for (const auto& set : ruleset.sets) {
        text +=
            fmt::format("add set inet {} {} {{ {} }}\n", table_name, set.name, properties_of(set));
        if (!set.is_dynamic())
            text += fmt::format("flush set inet {} {}\n", table_name, set.name);
    }
    for (const auto& chain : ruleset.chains) {
        const auto hook = hook_of(chain);
        text +=
            fmt::format("add chain inet {0} {1}{2}\nflush chain inet {0} {1}\n", table_name,
                        chain.name, hook.empty() ? std::string() : fmt::format(" {{ {} }}", hook));
    }
    return text;
}

std::string full(const Chain& chain) {
    auto text = comment(chain.why, "    ") + fmt::format("    chain {} {{\n", chain.name);
    if (chain.hook)
        text += fmt::format("        {}\n\n", hook_of(chain));
    for (const auto& rule : chain.rules) {
        text += comment(rule.why, "        ");
        text += "        ";
        for (const auto& statement : rule.statements)
            text += statement.text + ' ';
        text += fmt::format("comment \"{}\"\n", rule.id);
    }
    return text + "    }\n";
}

} // namespace

std::string to_text(const Ruleset& ruleset) {
    auto text = std::string(heading) + definitions(ruleset) + skeleton(ruleset);
    text += fmt::format("\ntable inet {} {{\n", table_name);
    for (const auto& set : ruleset.sets)
        if (!set.elements.empty())
            text += fmt::format("    set {0} {{ {1} elements = ${0}; }}\n", set.name,
                                properties_of(set));
    for (const auto& chain : ruleset.chains)
        text += '\n' + full(chain);
    return text + "}\n";
}

} // namespace ubf::nft
