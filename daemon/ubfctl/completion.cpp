// `ubfctl completion`: what a shell completes, from the table of subcommands.
#include "arguments.hpp"
#include "command.hpp"
#include "table.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <iostream>
#include <string>
#include <vector>

namespace ubf::ctl {
namespace {

// The options that a usage line names.
std::vector<std::string> options_in(std::string_view usage) {
    std::vector<std::string> options;
    for (auto at = usage.find("--"); at != std::string_view::npos; at = usage.find("--", at + 2)) {
        const auto end = usage.find_first_of(" []|=\n", at);
        const auto option = usage.substr(at, end == std::string_view::npos ? end : end - at);
        if (std::ranges::find(options, option) == options.end())
            options.emplace_back(option);
    }
    return options;
}

constexpr std::string_view common = "--json --socket --color --no-pager --help";

// The names of a command's columns; empty for one without.
std::string columns_of(const Command& command) {
    std::string names;
    if (command.columns != nullptr)
        for (const auto& column : command.columns())
            names += fmt::format("{}{}", names.empty() ? "" : " ", column.name);
    return names;
}

std::string for_bash() {
    std::string names;
    std::string cases;
    std::string columns;
    for (const auto& command : commands()) {
        names += fmt::format("{}{}", names.empty() ? "" : " ", command.name);
        cases += fmt::format("        {}) words=\"{} {}\" ;;\n", command.name,
                             fmt::join(options_in(command.usage), " "), common);
        if (command.columns != nullptr)
            columns +=
                fmt::format("        {}) columns=\"{}\" ;;\n", command.name, columns_of(command));
    }
    return fmt::format(
        "_ubfctl() {{\n"
        "    local words=\"{} help {} --version\" columns word\n"
        "    for word in \"${{COMP_WORDS[@]:1:COMP_CWORD-1}}\"; do\n"
        "        case $word in\n{}"
        "        esac\n"
        "        case $word in\n{}"
        "        esac\n"
        "    done\n"
        "    case ${{COMP_WORDS[COMP_CWORD-1]}} in -o|--output) words=$columns ;; esac\n"
        "    COMPREPLY=($(compgen -W \"$words\" -- \"${{COMP_WORDS[COMP_CWORD]}}\"))\n"
        "}}\n"
        "complete -o default -F _ubfctl ubfctl\n",
        names, common, cases, columns);
}

std::string for_zsh() {
    return "#compdef ubfctl\nautoload -U +X bashcompinit && bashcompinit\n" + for_bash();
}

std::string for_fish() {
    std::string text = "complete -c ubfctl -f\n";
    for (const auto& command : commands()) {
        text += fmt::format("complete -c ubfctl -n __fish_use_subcommand -a {} -d \"{}\"\n",
                            command.name, command.description);
        for (const auto& option : options_in(command.usage))
            text += fmt::format("complete -c ubfctl -n '__fish_seen_subcommand_from {}' -l {}\n",
                                command.name, option.substr(2));
        if (command.columns != nullptr)
            text += fmt::format("complete -c ubfctl -n '__fish_seen_subcommand_from {}' -s o -l "
                                "output -x -a \"{}\"\n",
                                command.name, columns_of(command));
    }
    return text;
}

} // namespace

int completion(const Globals&, const Arguments& arguments) {
    const auto shell = arguments.size() == 1 ? arguments.front() : std::string();
    const auto script = shell == "bash"   ? for_bash()
                        : shell == "zsh"  ? for_zsh()
                        : shell == "fish" ? for_fish()
                                          : std::string();
    if (script.empty())
        throw UsageError("completion: for which shell? There are bash, zsh and fish");
    std::cout << script;
    return 0;
}

} // namespace ubf::ctl
