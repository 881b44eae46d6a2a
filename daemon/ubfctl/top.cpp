// `ubfctl top`: what ubfd does now, each second anew.
#include "arguments.hpp"
#include "client.hpp"
#include "command.hpp"
#include "fields.hpp"
#include "latency.hpp"
#include "refusal.hpp"
#include "screen.hpp"

#include <algorithm>
#include <chrono>
#include <fmt/format.h>
#include <iostream>
#include <string>
#include <thread>
#include <unistd.h>
#include <vector>

#define NCURSES_NOMACROS // functions, and no names of ours
#include <curses.h>

namespace ubf::ctl {
namespace {

constexpr std::chrono::seconds period{1};
constexpr std::size_t most_rows = 10;

struct Sample {
    std::chrono::steady_clock::time_point time;
    Json status;
    Json refusals;
};

Sample take(const Globals& globals) {
    return {std::chrono::steady_clock::now(), ask(globals.socket, {{"command", "status"}}),
            ask(globals.socket, {{"command", "refusals"}})};
}

Latencies latencies_at(const Sample& sample, const char* way) {
    return latencies_of(sample.status.value("decision_us", Json::object()), way);
}

// The growth of counters between two samples, by the second.
class Rates {
  public:
    Rates(const Sample& before, const Sample& now)
      : before_(before.status)
      , now_(now.status)
      , seconds_(std::max(std::chrono::duration<double>(now.time - before.time).count(), 0.001)) {}

    double of(const std::string& path) const {
        const auto was = number(before_, path), is = number(now_, path);
        return is < was ? 0 : static_cast<double>(is - was) / seconds_; // after a restart, nothing
    }
    std::uint64_t now(const std::string& path) const { return number(now_, path); }
    const Json& status() const { return now_; }

  private:
    const Json& before_;
    const Json& now_;
    const double seconds_;
};

std::string head(const Rates& rates) {
    return fmt::format(
        "{}: ubfd {}   up {} s   ruleset {}{}", host_name(), word(rates.status(), "/version", "?"),
        rates.now("/uptime_s"), word(rates.status(), "/ruleset/state", "?"),
        yes(rates.status(), "/observing/all") ? "   OBSERVING ONLY: nothing is refused" : "");
}

// The reasons of an action that occur now, the most frequent first.
std::string reasons_text(const Rates& rates, Action action) {
    std::vector<std::pair<double, std::string>> shown;
    double sum = 0;
    for (const auto name : reasons_of(action)) {
        const auto rate = rates.of(fmt::format("/reasons/{}", name));
        sum += rate;
        if (rate > 0)
            shown.emplace_back(rate, name);
    }
    std::ranges::sort(shown, std::ranges::greater{});
    std::string text = fmt::format("  {:<8}{:>10.0f}/s", to_string(action), sum);
    for (const auto& [rate, name] : shown)
        text += fmt::format("  {} {:.0f}", name, rate);
    return text;
}

void add_verdicts(std::vector<std::string>& lines, const Rates& rates) {
    lines.push_back(fmt::format("VERDICTS ON PACKETS; and connections that the kernel recognised: "
                                "{:.0f}/s",
                                rates.of("/recognition/recognised")));
    for (const auto action : {Action::allow, Action::deny, Action::closed, Action::drop})
        lines.push_back(reasons_text(rates, action));
}

void add_latencies(std::vector<std::string>& lines, const Sample& before, const Sample& now) {
    lines.emplace_back("DECISIONS, and how long they took");
    for (const auto& [way, name] :
         {std::pair{"queue", "by this node alone"}, std::pair{"asked", "with a peer's answer"}}) {
        const auto latencies = latencies_at(now, way).since(latencies_at(before, way));
        lines.push_back(fmt::format("  {:<22}{:>10}   half within {:>7} us, 99 % within {:>7} us",
                                    name, latencies.count(), latencies.quantile_us(0.5),
                                    latencies.quantile_us(0.99)));
    }
}

void add_queues(std::vector<std::string>& lines, const Rates& rates) {
    lines.emplace_back("QUEUES     PACKETS/S    WAITING  DROPPED (FULL)  DROPPED (SOCKET)");
    const auto queues = rates.status().value("queues", Json::array());
    for (std::size_t i = 0; i < queues.size(); ++i) {
        const auto at = [i](const char* key) { return fmt::format("/queues/{}/{}", i, key); };
        lines.push_back(fmt::format("  {:<8}{:>10.0f}{:>11}{:>16}{:>18}", rates.now(at("number")),
                                    rates.of(at("packets")), rates.now(at("waiting")),
                                    rates.now(at("full_drops")), rates.now(at("socket_drops"))));
    }
}

void add_peers(std::vector<std::string>& lines, const Rates& rates) {
    lines.push_back(fmt::format("PEERS      asked {:.0f}/s, answered {:.0f}/s; {} known, {} silent",
                                rates.of("/ident/questions"), rates.of("/ident/answered"),
                                rates.now("/peers_asked"), rates.now("/peers_silent")));
    std::size_t shown = 0;
    for (const auto& peer : rates.status().value("peers", Json::array())) {
        if (shown++ == most_rows / 2)
            break;
        lines.push_back(fmt::format("  {:<40} p50 {:>7} us  p99 {:>7} us{}",
                                    word(peer, "/address", "?"), number(peer, "/answer_us/p50"),
                                    number(peer, "/answer_us/p99"),
                                    yes(peer, "/silent") ? "  SILENT" : ""));
    }
}

void add_refusals(std::vector<std::string>& lines, const Json& reply, Names& names) {
    lines.emplace_back("REFUSED LATELY");
    std::size_t shown = 0;
    for (const auto& row : reply.value("refusals", Json::array())) {
        const auto refusal = to_refusal(row);
        if (!refusal || shown++ == most_rows)
            continue;
        lines.push_back(
            fmt::format("  {}  {:>6} x  {} -> {} {} {}  {}{}", time_text(refusal->last_ms),
                        refusal->count, user_of(refusal->connector, refusal->connector.kind, names),
                        user_of(refusal->listener, refusal->listener.kind, names),
                        refusal->protocol, to_string(refusal->to), to_string(refusal->reason),
                        refusal->observed ? " (observed)" : ""));
    }
    if (shown == 0)
        lines.emplace_back("  nothing");
}

std::vector<std::string> page(const Sample& before, const Sample& now, Names& names) {
    const Rates rates(before, now);
    std::vector<std::string> lines{head(rates), {}};
    add_verdicts(lines, rates);
    lines.emplace_back();
    add_latencies(lines, before, now);
    lines.emplace_back();
    add_queues(lines, rates);
    lines.emplace_back();
    add_peers(lines, rates);
    lines.emplace_back();
    add_refusals(lines, now.refusals, names);
    return lines;
}

// The terminal, while the page is on it.
class Screen {
  public:
    Screen() {
        ::initscr();
        ::cbreak();
        ::noecho();
        ::curs_set(0);
    }
    ~Screen() { ::endwin(); }
    Screen(const Screen&) = delete;
    Screen& operator=(const Screen&) = delete;

    void show(const std::vector<std::string>& lines, bool stands) const {
        ::erase();
        const int rows = ::getmaxy(stdscr), columns = ::getmaxx(stdscr);
        for (int row = 0; row < rows - 1 && row < static_cast<int>(lines.size()); ++row)
            ::mvaddnstr(row, 0, lines[static_cast<std::size_t>(row)].c_str(), columns);
        ::attron(static_cast<int>(A_REVERSE));
        ::mvaddnstr(rows - 1, 0,
                    stands ? " q: quit  p: go on " : " q: quit  p: stand still for a while ",
                    columns);
        ::attroff(static_cast<int>(A_REVERSE));
        ::refresh();
    }
    // The key that was pressed by then; ERR for none.
    static int key(std::chrono::milliseconds wait) {
        ::timeout(static_cast<int>(wait.count()));
        return ::getch();
    }
};

int show_on_screen(const Globals& globals, Names& names) {
    auto before = take(globals);
    const Screen screen;
    auto lines = page(before, before, names);
    for (bool stands = false;;) {
        screen.show(lines, stands);
        const int key = Screen::key(period);
        if (key == 'q' || key == 'Q')
            return 0;
        if (key == 'p' || key == 'P')
            stands = !stands;
        if (stands || key != ERR)
            continue;
        auto now = take(globals);
        lines = page(before, now, names);
        before = std::move(now);
    }
}

} // namespace

int top(const Globals& globals, const Arguments& arguments) {
    namespace po = boost::program_options;
    po::options_description options;
    options.add_options()("once", po::bool_switch());
    const bool once = parse("top", arguments, options)["once"].as<bool>();
    Names names;
    if (!once && ::isatty(STDOUT_FILENO) == 1)
        return show_on_screen(globals, names);
    const auto before = take(globals);
    std::this_thread::sleep_for(period);
    for (const auto& line : page(before, take(globals), names))
        std::cout << line << '\n';
    return 0;
}

} // namespace ubf::ctl
