#include "arguments.hpp"
#include "client.hpp"
#include "command.hpp"
#include "fields.hpp"
#include "latency.hpp"
#include "screen.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <sysexits.h>
#include <vector>

namespace ubf::ctl {
namespace {

Json part(const Json& json, const char* path) {
    return json.value(Json::json_pointer(path), Json::object());
}

// The counters that are not zero, in a line.
std::string counts(const Json& counters) {
    std::string text;
    for (const auto& [name, count] : counters.items())
        if (count != 0)
            text +=
                fmt::format("{}{} {}", text.empty() ? "" : ", ", name, count.get<std::uint64_t>());
    return text.empty() ? "none" : text;
}

std::string rules(const Json& kernel) {
    std::string text;
    for (const auto& [name, counter] : kernel.items())
        if (const auto packets = counter.value("packets", std::uint64_t{0}); packets != 0)
            text += fmt::format("{}{} {}", text.empty() ? "" : ", ", name, packets);
    return text.empty() ? "none" : text;
}

std::string queues_text(const Json& status) {
    std::string text;
    for (const auto& queue : part(status, "/queues"))
        text += fmt::format("  {:<5} {:>10} packets {:>6} of {} waiting, dropped {} (full) {} "
                            "(socket)\n",
                            number(queue, "/number"), number(queue, "/packets"),
                            number(queue, "/waiting"), number(queue, "/length"),
                            number(queue, "/full_drops"), number(queue, "/socket_drops"));
    return text;
}

std::string peers_text(const Json& status) {
    const auto& peers = part(status, "/peers");
    std::string text;
    for (const auto& peer : peers)
        text += fmt::format("  {:<24} {:>8} asked, {} without answer, {} us median, {} us p99{}\n",
                            word(peer, "/address"), number(peer, "/questions"),
                            number(peer, "/timeouts"), number(peer, "/answer_us/p50"),
                            number(peer, "/answer_us/p99"), yes(peer, "/silent") ? ", SILENT" : "");
    if (const auto asked = number(status, "/peers_asked"); asked > peers.size())
        text += fmt::format("  and {} more that answer no worse; --peers lists all\n",
                            asked - peers.size());
    return text.empty() ? "  none asked yet\n" : text;
}

std::string keys_text(const Json& keys) {
    const auto accepted = keys.value("accepted", std::string());
    if (keys.empty())
        return "no cluster key counts";
    return "signs with key " + word(keys, "/signs") +
           (accepted.empty() ? "" : "; accepted too: " + accepted);
}

std::string configuration_text(const Json& configuration) {
    if (configuration.value("holds", true))
        return {};
    return fmt::format("config    {} DOES NOT HOLD, an older one does: {}\n",
                       word(configuration, "/file"), word(configuration, "/mistake"));
}

// On the first line, for whoever reads no further.
std::string observing_text(const Json& observing) {
    if (yes(observing, "/all"))
        return fmt::format("OBSERVING ONLY: nothing is refused (policy.mode); would deny: {}\n",
                           counts(part(observing, "/would_deny")));
    if (yes(observing, "/some"))
        return fmt::format("observing some flows, which are not refused (policy.observe_*); would "
                           "deny: {}\n",
                           counts(part(observing, "/would_deny")));
    return {};
}

std::string interfaces_text(const Json& interfaces) {
    const auto watched = part(interfaces, "/watched"), unwatched = part(interfaces, "/unwatched");
    std::string others;
    for (const auto& name : unwatched)
        others += fmt::format("{}{}", others.empty() ? "; not: " : ", ", name.get<std::string>());
    return fmt::format("{} of {} watched{}", watched.size(), watched.size() + unwatched.size(),
                       others);
}

std::string missing_text(const Json& ruleset) {
    std::string text;
    for (const auto& item : part(ruleset, "/missing"))
        text += fmt::format("  missing: {}\n", item.get<std::string>());
    return text;
}

std::string others_text(const Json& status) {
    std::string text;
    for (const auto& other : part(status, "/others"))
        text += fmt::format("others    {}\n", other.get<std::string>());
    return text;
}

std::string over_limit_text(const Json& users) {
    std::string text;
    for (const auto& user : users)
        text +=
            (text.empty() ? "limits    too fast within a minute: " : ", ") + word(user, "/name");
    return text.empty() ? text : text + '\n';
}

std::string threads_text(const Json& threads) {
    std::string text;
    for (const auto& thread : part(threads, "/standing_still")) {
        const auto waits_for = word(thread, "/waits_for");
        text += fmt::format("{}{} STANDS STILL for {} s{}", text.empty() ? "" : "; ",
                            word(thread, "/name"), number(thread, "/seconds"),
                            waits_for.empty() ? "" : ", and waits for " + waits_for);
    }
    return fmt::format("{}; {} times one stood still", text.empty() ? "all go on" : text,
                       number(threads, "/stalls"));
}

std::string recognition_text(const Json& recognition) {
    auto asked = recognition; // about the SYNs that are in none of its other figures
    for (const char* other : {"state", "interfaces", "stamped", "recognised", "astray"})
        asked.erase(other);
    return fmt::format("{}; {} interfaces; stamped {}, recognised {} (dropped on their way to "
                       "another's socket {}); asked about: {}",
                       word(recognition, "/state"), number(recognition, "/interfaces"),
                       number(recognition, "/stamped"), number(recognition, "/recognised"),
                       number(recognition, "/astray"), counts(asked));
}

std::string rdma_text(const Json& rdma) {
    const auto count = [&](const char* name) { return rdma.value(name, std::uint64_t{0}); };
    return fmt::format("{}; {} connections now; seen {}, allowed {}, denied {}, not answered {}, "
                       "ended {}, not ended {}; queue pairs of nobody known {}",
                       word(rdma, "/state"), count("connections"), count("seen"), count("allowed"),
                       count("denied"), count("no_answer"), count("ended"), count("not_ended"),
                       count("queue_pairs_not_attributable"));
}

// A part of the page: a line, and maybe others that belong to it.
struct Part {
    std::string text;
    Ink ink = Ink::plain;
};
using Parts = std::vector<Part>;

Ink bad_if(bool is_bad) {
    return is_bad ? Ink::bad : Ink::plain;
}

void add_ruleset(Parts& parts, const Json& status) {
    const auto& configuration = part(status, "/configuration");
    const auto& ruleset = part(status, "/ruleset");
    if (!configuration.value("holds", true))
        parts.push_back({configuration_text(configuration), Ink::bad});
    parts.push_back(
        {fmt::format(
             "ruleset   {}, {}{}, queue rule: {}, repaired {} times\n{}", word(ruleset, "/state"),
             yes(ruleset, "/managed") ? "managed by ubfd" : "managed by the administrator",
             yes(ruleset, "/owned") ? " (no other program can change it)" : "",
             word(status, "/queue_rule"), number(ruleset, "/repairs"), missing_text(ruleset)),
         bad_if(word(ruleset, "/state") != "installed")});
    parts.push_back({fmt::format("interfaces {}\n{}", interfaces_text(part(status, "/interfaces")),
                                 others_text(status))});
}

void add_verdicts(Parts& parts, const Json& status) {
    const auto& threads = part(status, "/threads");
    parts.push_back({fmt::format("threads   {}\n", threads_text(threads)),
                     bad_if(!part(threads, "/standing_still").empty())});
    parts.push_back(
        {fmt::format("queues\n{}verdicts  {}\nreasons   {}\nlatencies {}\n"
                     "kernel    {}; verdicts there: {}\n",
                     queues_text(status), counts(part(status, "/actions")),
                     counts(part(status, "/reasons")), latencies_text(part(status, "/decision_us")),
                     rules(part(status, "/kernel")), counts(part(status, "/verdicts_in_kernel")))});
    if (const auto users = over_limit_text(part(status, "/over_limit")); !users.empty())
        parts.push_back({users, Ink::bad});
}

void add_owners(Parts& parts, const Json& status) {
    parts.push_back(
        {fmt::format("owners    {}\n"
                     "          the kernel's records: {}\n"
                     "recognition {}\n"
                     "receivers {} (who gets the datagrams of an allowed flow)\n"
                     "senders   {}; refused {} (UDP whose answers another socket would get)\n"
                     "labels    {}; not known {}; jobs running {}; flows ended {}\n"
                     "rdma      {}\n",
                     counts(part(status, "/owner_methods")), word(status, "/owner_records"),
                     recognition_text(part(status, "/recognition")), word(status, "/udp_receivers"),
                     word(status, "/udp_senders/state"), number(status, "/udp_senders/refused"),
                     counts(part(status, "/labels/found")), number(status, "/labels/unknown"),
                     number(status, "/jobs/running"), number(status, "/flows_ended"),
                     rdma_text(part(status, "/rdma")))});
}

void add_ident(Parts& parts, const Json& status) {
    const auto& ident = part(status, "/ident");
    parts.push_back({fmt::format(
        "ident     asked {}, again {}, answers {} ({} busy); answered {} ({} busy, {} of what was "
        "never sent); rejected: {}\n"
        "          no room: {} not sent, {} of peers over their share, {} forgotten of what peers "
        "were told; {}\n",
        number(ident, "/questions"), number(ident, "/retransmissions"), number(ident, "/answers"),
        number(ident, "/answers_busy"), number(ident, "/answered"), number(ident, "/answered_busy"),
        number(ident, "/no_evidence"), counts(part(ident, "/rejected")), number(ident, "/not_sent"),
        number(ident, "/over_share"), number(ident, "/told_forgotten"),
        keys_text(part(ident, "/keys")))});
    const auto& identity = part(status, "/identity");
    if (identity.contains("name"))
        parts.push_back({fmt::format(
            "identity  certificate {} of {} ({}); roster {}: {} certificates, {} revoked; "
            "certificates are {}\n",
            number(identity, "/serial"), word(identity, "/name"), word(identity, "/class"),
            number(identity, "/roster/number"), number(identity, "/roster/certificates"),
            number(identity, "/roster/revoked"),
            yes(identity, "/required") ? "required" : "not required")});
    const auto silent = number(status, "/peers_silent");
    parts.push_back({fmt::format("peers     {} asked, {} silent\n{}",
                                 number(status, "/peers_asked"), silent, peers_text(status)),
                     bad_if(silent > 0)});
}

// Nothing on a node that has no portal.
void add_portal(Parts& parts, const Json& status) {
    const auto& portal = part(status, "/portal");
    if (number(portal, "/asked") == 0 && number(portal, "/tickets/missing") == 0)
        return;
    parts.push_back(
        {fmt::format("portal    asked {}, allowed {}; refused: {}\n"
                     "          tickets spent {}, expired {}, evicted {}; connections without one "
                     "{}, with one {} now\n",
                     number(portal, "/asked"), number(portal, "/allowed"),
                     counts(part(portal, "/refused")), number(portal, "/tickets/spent"),
                     number(portal, "/tickets/expired"), number(portal, "/tickets/evicted"),
                     number(portal, "/tickets/missing"), number(portal, "/connections"))});
}

void add_log(Parts& parts, const Json& status) {
    const auto& log = part(status, "/log");
    parts.push_back(
        {fmt::format("log       {} lines, {} folded, {} beyond their user's share, {} lost\n",
                     number(log, "/written"), number(log, "/folded"), number(log, "/over_share"),
                     number(log, "/lost"))});
    for (const auto& warning : part(status, "/warnings"))
        parts.push_back({fmt::format("warning   {}\n", warning.get<std::string>()), Ink::warning});
}

// Only a part's first line has its colour.
std::string painted(const Part& part, const Paint& paint) {
    const auto end = part.text.find('\n');
    return paint(part.ink, part.text.substr(0, end)) + part.text.substr(end);
}

// Problems first, and then warnings.
std::string to_text(const Json& status, const Paint& paint) {
    const auto observing = observing_text(part(status, "/observing"));
    const auto version = fmt::format("ubfd {}, up since {} ({} s)\n", word(status, "/version"),
                                     word(status, "/since"), number(status, "/uptime_s"));
    auto text = host_name() + ": ";
    text += observing.empty() ? version : painted({observing, Ink::warning}, paint) + version;
    Parts parts;
    add_ruleset(parts, status);
    add_verdicts(parts, status);
    add_owners(parts, status);
    add_ident(parts, status);
    add_portal(parts, status);
    add_log(parts, status);
    std::ranges::stable_sort(parts, std::ranges::greater{}, &Part::ink);
    for (const auto& each : parts)
        text += painted(each, paint);
    return text;
}

// For monitoring: the worst that is the case.
int exit_status(const Json& status) {
    constexpr int peers_are_silent = 2;
    constexpr int only_observes = 3;
    if (word(status, "/ruleset/state") != "installed")
        return EX_UNAVAILABLE;
    if (!status.value(Json::json_pointer("/configuration/holds"), true))
        return EX_CONFIG;
    if (number(status, "/peers_silent") > 0)
        return peers_are_silent;
    return yes(status, "/observing/all") ? only_observes : EX_OK;
}

} // namespace

int status(const Globals& globals, const Arguments& arguments) {
    boost::program_options::options_description options;
    options.add_options()("peers", "");
    add_watch(options);
    const auto given = parse("status", arguments, options);
    const Json request{{"command", "status"}, {"peers", given.contains("peers")}};
    return show(globals, watch_of("status", given), [&]() -> Page {
        const auto reply = ask(globals.socket, request);
        return {globals.json ? reply.dump(2) + '\n' : to_text(reply, Paint(globals.colours)),
                {},
                exit_status(reply)};
    });
}

} // namespace ubf::ctl
