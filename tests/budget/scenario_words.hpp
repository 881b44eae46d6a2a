// The words that both programs of the budget take: the name of a scenario, or --list.
#pragma once

#include <fmt/format.h>
#include <string_view>

namespace ubf::budget {

// Lists the scenarios, or runs the one of that name. False if the word is neither.
template<typename Scenarios, typename Run>
bool list_or_run(std::string_view word, const Scenarios& all, Run run) {
    for (const auto& scenario : all) {
        if (word == "--list") {
            fmt::print("{}\n", scenario.name);
        } else if (word == scenario.name) {
            run(scenario);
            return true;
        }
    }
    return word == "--list";
}

} // namespace ubf::budget
