#include "nft/probe.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <functional>
#include <map>
#include <vector>

namespace ubf::nft {
namespace {

const ToQueue native_queue{0, 1, true};
const ToQueue xt_queue{0, 1, false};

// One statement of the ruleset for each module name. It is kept whole, since its parts need each
// other.
std::map<std::string, std::vector<Expression>, std::less<>> one_of_each(const Ruleset& ruleset) {
    std::map<std::string, std::vector<Expression>, std::less<>> found;
    for (const auto& chain : ruleset.chains)
        for (const auto& rule : chain.rules)
            for (const auto& statement : rule.statements)
                for (const auto& expression : statement.expressions)
                    if (const auto name = modules(expression); !name.empty())
                        found.try_emplace(std::string(name), statement.expressions);
    return found;
}

} // namespace

Environment probe(const Config& config, Installer& installer) {
    auto environment = read_environment(config);
    if (!installer.can({native_queue}) && installer.can({xt_queue}))
        environment.queue_expression = QueueExpression::xt;
    const auto ruleset = make_ruleset(config, environment);
    const auto parts = one_of_each(ruleset);
    std::vector<Expression> all;
    for (const auto& [name, expressions] : parts)
        all.insert(all.end(), expressions.begin(), expressions.end());
    if (installer.can(all, ruleset.sets))
        return environment; // one attempt for all, since each takes milliseconds
    for (const auto& [name, expressions] : parts)
        if (!installer.can(expressions, ruleset.sets))
            environment.lacks.push_back(name);
    return environment;
}

std::string shortfall(const Environment& environment) {
    if (environment.lacks.empty())
        return {};
    const bool queue =
        std::ranges::find(environment.lacks, modules(native_queue)) != environment.lacks.end();
    return fmt::format("the kernel lacks {}; load what is missing with modprobe{}",
                       fmt::join(environment.lacks, ", "),
                       queue ? fmt::format(", in place of nft_queue also {}", modules(xt_queue))
                             : std::string());
}

} // namespace ubf::nft
