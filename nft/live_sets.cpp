#include "nft/live_sets.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <iterator>
#include <optional>
#include <variant>

namespace ubf::nft {
namespace {

Set with_name(Set set, std::string name) {
    set.name = std::move(name);
    return set;
}

} // namespace

std::vector<Set> fresh(const LiveSets& live) {
    std::vector<Set> sets;
    std::ranges::copy_if(live.ruleset.sets, std::back_inserter(sets), [&](const Set& set) {
        return !set.is_dynamic() && !live.there.contains(set.name);
    });
    return sets;
}

std::vector<std::string> names_of(const Set& set) {
    return {set.name, fmt::format("{}_2", set.name), fmt::format("{}_3", set.name)};
}

Ruleset renamed(Ruleset ruleset, const std::map<std::string, std::string>& names) {
    const auto rename = [&](std::string& name) {
        if (const auto found = names.find(name); found != names.end())
            name = found->second;
    };
    for (auto& set : ruleset.sets)
        rename(set.name);
    for (auto& chain : ruleset.chains)
        for (auto& rule : chain.rules)
            for (auto& statement : rule.statements)
                for (auto& expression : statement.expressions)
                    if (auto* lookup = std::get_if<Lookup>(&expression))
                        rename(lookup->set);
    return ruleset;
}

LiveSets live_sets(Ruleset ruleset, const std::set<std::string>& present,
                   const std::function<bool(const Set&)>& is_there) {
    std::map<std::string, std::string> names;
    LiveSets result{{}};
    for (const auto& set : ruleset.sets) {
        if (set.is_dynamic())
            continue;
        std::optional<std::string> chosen, unused;
        std::vector<std::string> others;
        for (const auto& name : names_of(set)) {
            if (!present.contains(name)) {
                if (!unused)
                    unused = name;
            } else if (!chosen && is_there(with_name(set, name))) {
                chosen = name;
                result.there.insert(name);
            } else {
                others.push_back(name);
            }
        }
        if (!chosen)
            chosen = unused;
        if (!chosen) { // another program took all names: the last is changed in place
            chosen = others.back();
            others.pop_back();
        }
        names.emplace(set.name, *chosen);
        std::ranges::move(others, std::back_inserter(result.stale));
    }
    result.ruleset = renamed(std::move(ruleset), names);
    return result;
}

Ruleset as_present(Ruleset ruleset, const std::set<std::string>& present) {
    std::map<std::string, std::string> names;
    for (const auto& set : ruleset.sets) {
        if (set.is_dynamic())
            continue;
        const auto all = names_of(set);
        const auto found =
            std::ranges::find_if(all, [&](const auto& name) { return present.contains(name); });
        if (found != all.end())
            names.emplace(set.name, *found);
    }
    return renamed(std::move(ruleset), names);
}

} // namespace ubf::nft
