// `ubfctl metrics`: what ubfd counts, in Prometheus's text format (version 0.0.4).
#include "arguments.hpp"
#include "client.hpp"
#include "command.hpp"
#include "fields.hpp"
#include "http.hpp"
#include "latency.hpp"
#include "policy/verdict.hpp"

#include <chrono>
#include <fmt/format.h>
#include <iostream>
#include <string>
#include <string_view>
#include <unistd.h>

namespace ubf::ctl {
namespace {

// A label's value: backslash, quote and line feed are escaped.
std::string escaped(std::string_view value) {
    std::string text;
    for (const char c : value) {
        if (c == '\\' || c == '"')
            text += '\\';
        text += c == '\n' ? std::string("\\n") : std::string(1, c);
    }
    return text;
}

// Microseconds as seconds: "0.00025".
std::string seconds_text(std::uint64_t us) {
    auto text = fmt::format("{}.{:06}", us / 1'000'000, us % 1'000'000);
    text.erase(text.find_last_not_of('0') + 1);
    if (text.ends_with('.'))
        text += '0';
    return text;
}

class MetricsPage {
  public:
    explicit MetricsPage(const Json& status)
      : status_(status) {}

    // Begins a metric; its samples follow.
    void begin(std::string_view name, std::string_view type, std::string_view help) {
        name_ = name;
        text_ += fmt::format("# HELP {} {}\n# TYPE {} {}\n", name, help, name, type);
    }
    void sample(std::uint64_t value, std::string_view labels = {}) {
        text_ += labels.empty() ? fmt::format("{} {}\n", name_, value)
                                : fmt::format("{}{{{}}} {}\n", name_, labels, value);
    }
    // One of a metric that has samples of several names.
    void sample_of(std::string_view name, std::string_view value, std::string_view labels) {
        text_ += fmt::format("{}{{{}}} {}\n", name, labels, value);
    }
    // One that is a number of the status; left out where this ubfd doesn't have it.
    void add(std::string_view name, std::string_view type, std::string_view help,
             const char* path) {
        const auto* found = at(path);
        if (found == nullptr || !found->is_number())
            return;
        begin(name, type, help);
        sample(found->get<std::uint64_t>());
    }
    void add(std::string_view name, std::string_view help, bool yes) {
        begin(name, "gauge", help);
        sample(yes ? 1 : 0);
    }
    // One sample for each member.
    void add_each(std::string_view name, std::string_view help, const char* path,
                  std::string_view label) {
        const auto* found = at(path);
        if (found == nullptr || !found->is_object())
            return;
        begin(name, "counter", help);
        for (const auto& [key, value] : found->items())
            if (value.is_number())
                sample(value.get<std::uint64_t>(), fmt::format("{}=\"{}\"", label, escaped(key)));
    }
    const Json* at(const char* path) const {
        const Json::json_pointer pointer(path);
        return status_.contains(pointer) ? &status_.at(pointer) : nullptr;
    }
    const Json& status() const { return status_; }
    const std::string& text() const { return text_; }

  private:
    const Json& status_;
    std::string name_;
    std::string text_;
};

void add_verdicts(MetricsPage& page) {
    const auto* reasons = page.at("/reasons");
    if (reasons == nullptr)
        return;
    page.begin("ubf_packets_judged_total", "counter",
               "Packets that ubfd judged, by action and reason.");
    for (const auto& [name, count] : reasons->items())
        if (const auto reason = parse_reason(name))
            page.sample(
                count.get<std::uint64_t>(),
                fmt::format("action=\"{}\",reason=\"{}\"", to_string(action_of(*reason)), name));
    page.add_each("ubf_flows_would_deny_total",
                  "Flows that would be refused, but are only observed, by reason.",
                  "/observing/would_deny", "reason");
}

// The buckets are cumulative, and the times in seconds.
void add_latencies(MetricsPage& page) {
    const auto* times = page.at("/decision_us");
    if (times == nullptr)
        return;
    const std::string name = "ubf_decision_seconds";
    page.begin(name, "histogram",
               "Time from a packet's arrival to its verdict, by whether a peer was asked.");
    for (const std::string way : {"queue", "asked"}) {
        const auto latencies = latencies_of(*times, way);
        std::uint64_t sum = 0;
        for (std::size_t i = 0; i < latencies.counts.size(); ++i) {
            sum += latencies.counts[i];
            const auto bound = i < latencies.bounds_us.size() ? seconds_text(latencies.bounds_us[i])
                                                              : std::string("+Inf");
            page.sample_of(name + "_bucket", std::to_string(sum),
                           fmt::format("way=\"{}\",le=\"{}\"", way, bound));
        }
        page.sample_of(name + "_sum", seconds_text(latencies.sum_us),
                       fmt::format("way=\"{}\"", way));
        page.sample_of(name + "_count", std::to_string(sum), fmt::format("way=\"{}\"", way));
    }
}

void add_queues(MetricsPage& page) {
    const auto* queues = page.at("/queues");
    if (queues == nullptr)
        return;
    const auto each = [&](std::string_view name, std::string_view type, std::string_view help,
                          const char* key) {
        page.begin(name, type, help);
        for (const auto& queue : *queues)
            page.sample(queue.value(key, std::uint64_t{0}),
                        fmt::format("queue=\"{}\"", queue.value("number", std::uint64_t{0})));
    };
    each("ubf_queue_packets_total", "counter", "Packets that came to ubfd.", "packets");
    each("ubf_queue_waiting", "gauge", "Packets that wait in the kernel.", "waiting");
    each("ubf_queue_full_drops_total", "counter", "Packets for which the queue had no room.",
         "full_drops");
    each("ubf_queue_socket_drops_total", "counter", "Packets for which the socket had no room.",
         "socket_drops");
}

void add_kernel(MetricsPage& page) {
    const auto* rules = page.at("/kernel");
    if (rules == nullptr)
        return;
    page.begin("ubf_rule_packets_total", "counter",
               "Packets that a rule of the ruleset counted, by the rule's name.");
    for (const auto& [name, counter] : rules->items())
        page.sample(counter.value("packets", std::uint64_t{0}),
                    fmt::format("rule=\"{}\"", escaped(name)));
    if (const auto* users = page.at("/over_limit")) {
        page.begin("ubf_users_over_limit", "gauge",
                   "Users who began connections or UDP flows faster than [limits] allows, within a "
                   "minute.");
        page.sample(users->size());
    }
}

void add_ident(MetricsPage& page) {
    page.add("ubf_ident_questions_total", "counter", "Questions to peers.", "/ident/questions");
    page.add("ubf_ident_retransmissions_total", "counter", "Questions that were asked again.",
             "/ident/retransmissions");
    page.add("ubf_ident_answers_total", "counter", "Answers of peers.", "/ident/answers");
    page.add("ubf_ident_answered_total", "counter", "Questions of peers that were answered.",
             "/ident/answered");
    page.add("ubf_portal_asked_total", "counter", "Questions of web portals.", "/portal/asked");
    page.add("ubf_portal_allowed_total", "counter", "Of these, those that were allowed.",
             "/portal/allowed");
    page.add_each("ubf_portal_refused_total", "Of these, those that were refused, by reason.",
                  "/portal/refused", "reason");
    page.add_each("ubf_portal_tickets_total",
                  "Tickets of web portals that were spent, expired or evicted; and connections of "
                  "portals that were missing one.",
                  "/portal/tickets", "fate");
    page.add_each("ubf_ident_rejected_total", "Datagrams that were rejected, by cause.",
                  "/ident/rejected", "cause");
    page.add("ubf_peers", "gauge", "Peers that were asked.", "/peers_asked");
    page.add("ubf_peers_silent", "gauge", "Peers that do not answer.", "/peers_silent");
}

void add_flows(MetricsPage& page) {
    page.add("ubf_flows_remembered", "gauge", "Flows that are allowed.", "/flows_remembered");
    page.add("ubf_flows_ended_total", "counter", "Flows that were allowed once, and were ended.",
             "/flows_ended");
    page.add("ubf_flows_not_ended_total", "counter", "Flows that the kernel refused to end.",
             "/flows_not_ended");
    page.add("ubf_refusals_remembered", "gauge", "Refusals that 'ubfctl report' knows.",
             "/refusals_remembered");
    page.add("ubf_connections_recognised_total", "counter",
             "Connections that the kernel let in by itself, as one user's.",
             "/recognition/recognised");
    page.add("ubf_connections_stamped_total", "counter", "SYNs to peers that carry a stamp.",
             "/recognition/stamped");
}

void add_health(MetricsPage& page) {
    page.begin("ubf_info", "gauge", "The version of ubfd.");
    page.sample(1, fmt::format("version=\"{}\"", escaped(word(page.status(), "/version", ""))));
    page.add("ubf_uptime_seconds", "gauge", "Time since ubfd started.", "/uptime_s");
    page.add("ubf_ruleset_installed", "Whether the ruleset is whole.",
             word(page.status(), "/ruleset/state") == "installed");
    page.add("ubf_ruleset_repairs_total", "counter", "How often ubfd repaired the ruleset.",
             "/ruleset/repairs");
    const auto* holds = page.at("/configuration/holds");
    page.add("ubf_configuration_holds", "Whether the configuration file is in force.",
             holds == nullptr || *holds == true);
    page.add("ubf_observing", "Whether nothing is refused (policy.mode).",
             yes(page.status(), "/observing/all"));
    const auto* still = page.at("/threads/standing_still");
    page.begin("ubf_threads_standing_still", "gauge", "Threads of ubfd that stand still.");
    page.sample(still == nullptr ? 0 : still->size());
    page.add("ubf_log_lines_total", "counter", "Lines in the log.", "/log/written");
    page.add("ubf_log_lost_total", "counter", "Lines that were lost.", "/log/lost");
}

std::string to_exposition(const Json& status) {
    MetricsPage page(status);
    add_health(page);
    add_verdicts(page);
    add_latencies(page);
    add_queues(page);
    add_kernel(page);
    add_ident(page);
    add_flows(page);
    return page.text();
}

// As the socket's unit runs it: one request on standard input, its answer on standard output.
// Anybody on this node may ask.
int answer_by_http(const Globals& globals) {
    constexpr std::chrono::seconds patience{5};
    const auto code = http_code(read_http_request(STDIN_FILENO, patience));
    if (code != HttpCode::ok) {
        std::cout << http_answer(code, "") << std::flush;
        return 0;
    }
    try {
        std::cout << http_answer(code, to_exposition(ask(globals.socket, {{"command", "status"}})));
    } catch (const Unreachable&) {
        std::cout << http_answer(HttpCode::unavailable, "ubfd does not answer\n") << std::flush;
        throw;
    }
    std::cout << std::flush;
    return 0;
}

} // namespace

int metrics(const Globals& globals, const Arguments& arguments) {
    boost::program_options::options_description options;
    options.add_options()("http", "");
    if (parse("metrics", arguments, options).contains("http"))
        return answer_by_http(globals);
    std::cout << to_exposition(ask(globals.socket, {{"command", "status"}}));
    return 0;
}

} // namespace ubf::ctl
