// Packets that the ruleset refuses by itself. Nobody asks ubfd about them, so it remembers no
// refusal, and only counters tell. No I/O.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <string>

namespace ubf::ctl {

// Packets, by the counter's name.
using RuleRefusals = std::map<std::string, std::uint64_t>;

// The counters in ubfd's status, and those in a report. An older report has none.
RuleRefusals rule_refusals_of_status(const nlohmann::ordered_json& status);
void add_rule_refusals_of_report(RuleRefusals& sum, const nlohmann::ordered_json& report);

// A line for each; with "# " before it where it is a comment of a configuration.
std::string to_text(const RuleRefusals& refusals, bool is_comment);

} // namespace ubf::ctl
