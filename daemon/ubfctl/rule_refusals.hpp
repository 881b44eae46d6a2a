// What the ruleset refuses by itself: ubfd is not asked, so no refusal is remembered. Only counters
// tell of it. No I/O.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <string>

namespace ubf::ctl {

// Packets, by the counter's name.
using RuleRefusals = std::map<std::string, std::uint64_t>;

// Of ubfd's status, and of a report: those that a rule counted. An older report has none.
RuleRefusals rule_refusals_of_status(const nlohmann::ordered_json& status);
void add_rule_refusals_of_report(RuleRefusals& sum, const nlohmann::ordered_json& report);

// A line for each; with "# " before it where it is a comment of a configuration.
std::string to_text(const RuleRefusals& refusals, bool is_comment);

} // namespace ubf::ctl
