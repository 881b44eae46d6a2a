#include "client.hpp"
#include "command.hpp"

#include <fmt/format.h>
#include <iostream>
#include <sysexits.h>

namespace ubf::ctl {
namespace {

// What is not zero, in a line.
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
    for (const auto& queue : status.at("queues"))
        text += fmt::format(
            "  {:<5} {:>10} packets {:>6} of {} waiting, dropped {} (full) {} "
            "(socket)\n",
            queue.at("number").get<unsigned>(), queue.at("packets").get<std::uint64_t>(),
            queue.at("waiting").get<std::uint64_t>(), queue.at("length").get<std::uint64_t>(),
            queue.at("full_drops").get<std::uint64_t>(),
            queue.at("socket_drops").get<std::uint64_t>());
    return text;
}

std::string peers_text(const Json& status) {
    constexpr std::size_t most = 12; // a screenful; --json lists all
    const auto& peers = status.at("peers");
    std::string text;
    std::size_t shown = 0;
    for (const auto& peer : peers) {
        if (++shown > most) {
            text += fmt::format("  and {} more; --json lists all\n", peers.size() - most);
            break;
        }
        text += fmt::format("  {:<24} {:>8} asked, {} without answer, {} us median, {} us p99{}\n",
                            peer.at("address").get<std::string>(),
                            peer.at("questions").get<std::uint64_t>(),
                            peer.at("timeouts").get<std::uint64_t>(),
                            peer.at("answer_us").at("p50").get<std::uint64_t>(),
                            peer.at("answer_us").at("p99").get<std::uint64_t>(),
                            peer.at("silent").get<bool>() ? ", SILENT" : "");
    }
    return text.empty() ? "  none asked yet\n" : text;
}

std::string missing_text(const Json& ruleset) {
    std::string text;
    for (const auto& item : ruleset.at("missing"))
        text += fmt::format("  missing: {}\n", item.get<std::string>());
    return text;
}

std::string warnings_text(const Json& status) {
    std::string text;
    for (const auto& warning : status.at("warnings"))
        text += fmt::format("warning   {}\n", warning.get<std::string>());
    return text;
}

std::string threads_text(const Json& threads) {
    std::string text;
    for (const auto& thread : threads.at("standing_still")) {
        const auto waits_for = thread.at("waits_for").get<std::string>();
        text += fmt::format("{}{} STANDS STILL for {} s{}", text.empty() ? "" : "; ",
                            thread.at("name").get<std::string>(),
                            thread.at("seconds").get<std::uint64_t>(),
                            waits_for.empty() ? "" : ", and waits for " + waits_for);
    }
    return fmt::format("{}; {} times one stood still", text.empty() ? "all go on" : text,
                       threads.at("stalls").get<std::uint64_t>());
}

std::string rdma_text(const Json& rdma) {
    const auto count = [&](const char* name) { return rdma.at(name).get<std::uint64_t>(); };
    return fmt::format("{}; {} connections now; seen {}, allowed {}, denied {}, not answered {}, "
                       "ended {}, not ended {}; queue pairs of nobody known {}",
                       rdma.at("state").get<std::string>(), count("connections"), count("seen"),
                       count("allowed"), count("denied"), count("no_answer"), count("ended"),
                       count("not_ended"), count("queue_pairs_not_attributable"));
}

std::string to_text(const Json& status) {
    const auto& ruleset = status.at("ruleset");
    const auto& ident = status.at("ident");
    const auto& log = status.at("log");
    return fmt::format(
        "ubfd {}, up since {} ({} s)\n"
        "ruleset   {}, {}{}, queue rule: {}, repaired {} times\n{}"
        "threads   {}\n"
        "queues\n{}"
        "verdicts  {}\n"
        "reasons   {}\n"
        "kernel    {}\n"
        "          verdicts there: {}\n"
        "owners    {}\n"
        "          the kernel's records: {}\n"
        "labels    {}; not known {}; jobs running {}; flows ended {}\n"
        "rdma      {}\n"
        "ident     asked {}, again {}, answers {} ({} busy); answered {} ({} busy, {} of what was "
        "never sent); rejected: {}\n"
        "          no room: {} not sent, {} forgotten of what peers were told\n"
        "          told ahead: {} by peers, {} too late or not at all; {} to peers\n"
        "peers\n{}"
        "log       {} lines, {} folded, {} beyond their user's share, {} lost\n{}",
        status.at("version").get<std::string>(), status.at("since").get<std::string>(),
        status.at("uptime_s").get<std::uint64_t>(), ruleset.at("state").get<std::string>(),
        ruleset.at("managed").get<bool>() ? "managed by ubfd" : "managed by the administrator",
        ruleset.at("owned").get<bool>() ? " (no other program can change it)" : "",
        status.at("queue_rule").get<std::string>(), ruleset.at("repairs").get<std::uint64_t>(),
        missing_text(ruleset), threads_text(status.at("threads")), queues_text(status),
        counts(status.at("actions")), counts(status.at("reasons")), rules(status.at("kernel")),
        counts(status.at("verdicts_in_kernel")), counts(status.at("owner_methods")),
        status.at("owner_records").get<std::string>(), counts(status.at("labels").at("found")),
        status.at("labels").at("unknown").get<std::uint64_t>(),
        status.at("jobs").at("running").get<std::uint64_t>(),
        status.at("flows_ended").get<std::uint64_t>(), rdma_text(status.at("rdma")),
        ident.at("questions").get<std::uint64_t>(),
        ident.at("retransmissions").get<std::uint64_t>(), ident.at("answers").get<std::uint64_t>(),
        ident.at("answers_busy").get<std::uint64_t>(), ident.at("answered").get<std::uint64_t>(),
        ident.at("answered_busy").get<std::uint64_t>(),
        ident.at("no_evidence").get<std::uint64_t>(), counts(ident.at("rejected")),
        ident.at("not_sent").get<std::uint64_t>(), ident.at("told_forgotten").get<std::uint64_t>(),
        ident.at("pushes_received").get<std::uint64_t>(),
        ident.at("pushes_missed").get<std::uint64_t>(),
        ident.at("pushes_sent").get<std::uint64_t>(), peers_text(status),
        log.at("written").get<std::uint64_t>(), log.at("folded").get<std::uint64_t>(),
        log.at("over_share").get<std::uint64_t>(), log.at("lost").get<std::uint64_t>(),
        warnings_text(status));
}

} // namespace

int status(const Globals& globals, const Arguments& arguments) {
    if (!arguments.empty())
        throw UsageError("status takes no argument");
    const auto reply = ask(globals.socket, {{"command", "status"}});
    std::cout << (globals.json ? reply.dump(2) + '\n' : to_text(reply));
    // For monitoring: a ruleset that is not as it should be is more than a line of the page.
    return reply.at("ruleset").at("state") == "installed" ? EX_OK : EX_UNAVAILABLE;
}

} // namespace ubf::ctl
