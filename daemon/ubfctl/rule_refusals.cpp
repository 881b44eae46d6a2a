#include "rule_refusals.hpp"

#include "base/json.hpp"

#include <array>
#include <fmt/format.h>
#include <string_view>

namespace ubf::ctl {
namespace {

struct Rule {
    std::string_view counter;
    std::string_view what;
    std::string_view way; // to open it
};

// As ubfd(8) has them.
constexpr std::array<Rule, 10> counted_rules{{
    {"slurm_foreign", "to Slurm's ports from machines that slurm.conf does not name",
     "write them into slurm.submit_hosts"},
    {"unlisted", "of users to peers, from an address of this node that is no peer's",
     "write it into peers.ranges"},
    {"other_protocols", "of other protocols than TCP and UDP, on their way in",
     "name those that are meant in scope.protocols"},
    {"protocols_out", "of users, of other protocols than TCP and UDP",
     "name those that are meant in scope.protocols"},
    {"multicast", "to many receivers at once; the log names their ports",
     "write those that are meant into scope.exempt_ports"},
    {"outbound_deny", "of users to networks of scope.outbound_deny", "take the interface out"},
    {"over_limit", "of users who begin more than [limits] allows", "raise the limit"},
    {"kernel_socket", "of the kernel to watched ports", "write them into scope.exempt_ports"},
    {"forged", "of users, from addresses that this node does not have", "nothing opens it"},
    {"answer_forged", "of other users in the place of an exempt listener", "nothing opens it"},
}};

void add(RuleRefusals& sum, std::string_view counter, std::uint64_t packets) {
    if (packets != 0)
        sum[std::string(counter)] += packets;
}

} // namespace

RuleRefusals rule_refusals_of_status(const nlohmann::ordered_json& status) {
    RuleRefusals found;
    const auto kernel = status.find("kernel");
    if (kernel == status.end() || !kernel->is_object())
        return found;
    for (const auto& rule : counted_rules)
        if (const auto counter = kernel->find(rule.counter); counter != kernel->end())
            add(found, rule.counter, number_of<std::uint64_t>(*counter, "packets"));
    return found;
}

void add_rule_refusals_of_report(RuleRefusals& sum, const nlohmann::ordered_json& report) {
    const auto told = report.find("rules");
    if (told == report.end() || !told->is_object())
        return;
    for (const auto& rule : counted_rules)
        add(sum, rule.counter, number_of<std::uint64_t>(*told, std::string(rule.counter).c_str()));
}

std::string to_text(const RuleRefusals& refusals, bool is_comment) {
    const std::string_view begin = is_comment ? "# " : "";
    std::string text;
    for (const auto& rule : counted_rules) {
        const auto found = refusals.find(std::string(rule.counter));
        if (found == refusals.end())
            continue;
        if (text.empty())
            text = fmt::format("{}the rules alone refuse, or would, without a question to ubfd:\n",
                               begin);
        text += fmt::format("{}{:>7}  {}: {} {}: {}\n", begin, found->second, rule.counter,
                            found->second == 1 ? "packet" : "packets", rule.what, rule.way);
    }
    return text;
}

} // namespace ubf::ctl
