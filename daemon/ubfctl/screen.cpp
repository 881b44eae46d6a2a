#include "screen.hpp"

#include "base/unique_fd.hpp"
#include "base/write_all.hpp"

#include <array>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdlib>
#include <fmt/format.h>
#include <iostream>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

namespace ubf::ctl {
namespace {

std::string_view code_of(Ink ink) {
    switch (ink) {
    case Ink::plain:
        return "";
    case Ink::heading:
        return "\033[1m";
    case Ink::good:
        return "\033[32m";
    case Ink::warning:
        return "\033[33m";
    case Ink::bad:
        return "\033[1;31m";
    }
    return "";
}

bool is_set(const char* text) {
    return text != nullptr && *text != '\0';
}

[[noreturn]] void become_pager(const std::string& command, int page) {
    ::dup2(page, STDIN_FILENO);
    ::signal(SIGPIPE, SIG_DFL);
    // Quit if all fits on the screen, keep colours, cut long lines, leave the page there. A user
    // who may run nothing but ubfctl as root must not get a shell by the pager.
    ::setenv("LESS", "FRSX", 1);
    ::setenv("LESSSECURE", "1", 1);
    ::execl("/bin/sh", "sh", "-c", command.c_str(), nullptr);
    ::_exit(127);
}

// False if the pager could not be run.
bool show_by_pager(const std::string& command, std::string_view text) {
    std::array<int, 2> ends{};
    if (::pipe(ends.data()) != 0)
        return false;
    UniqueFd out(ends[0]);
    UniqueFd in(ends[1]);
    const auto child = ::fork();
    if (child < 0)
        return false;
    if (child == 0) {
        in.reset();
        become_pager(command, out.get());
    }
    out.reset();
    ::signal(SIGPIPE, SIG_IGN);
    write_all(in.get(), text); // nobody may read on, as after the key q
    in.reset();
    int status = 0;
    while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    constexpr int not_run = 126; // or 127: see sh(1)
    return !WIFEXITED(status) || WEXITSTATUS(status) < not_run;
}

bool is_terminal() {
    return ::isatty(STDOUT_FILENO) == 1;
}

} // namespace

std::optional<Colour> parse_colour(std::string_view word) {
    if (word == "auto")
        return Colour::automatic;
    if (word == "always")
        return Colour::always;
    if (word == "never")
        return Colour::never;
    return std::nullopt;
}

bool wants_colour(Colour choice, bool is_terminal, const char* no_color, const char* term) {
    if (choice != Colour::automatic)
        return choice == Colour::always;
    return is_terminal && !is_set(no_color) && is_set(term) && std::string_view(term) != "dumb";
}

std::string Paint::operator()(Ink ink, std::string_view text) const {
    if (!on_ || ink == Ink::plain)
        return std::string(text);
    return fmt::format("{}{}\033[0m", code_of(ink), text);
}

std::optional<std::string> pager_of(const char* ubf_pager, const char* pager) {
    const char* chosen = ubf_pager != nullptr ? ubf_pager : pager;
    const std::string command = chosen == nullptr ? "less" : chosen;
    return command.empty() || command == "cat" ? std::nullopt : std::optional(command);
}

int show(const Globals& globals, const Page& page) {
    const auto pager = globals.pages && !globals.json && is_terminal()
                           ? pager_of(std::getenv("UBF_PAGER"), std::getenv("PAGER"))
                           : std::nullopt;
    std::cout << std::flush;
    if (!pager || !show_by_pager(*pager, page.text))
        std::cout << page.text << std::flush;
    std::cerr << page.note;
    return page.exit_status;
}

int show(const Globals& globals, std::optional<std::chrono::seconds> period,
         const std::function<Page()>& make) {
    if (!period)
        return show(globals, make());
    const bool clears = is_terminal() && !globals.json;
    for (bool first = true;; first = false) {
        const auto page = make();
        const char* before = clears ? "\033[H\033[J" : first || globals.json ? "" : "\n";
        if (!(std::cout << before << page.text << std::flush))
            return page.exit_status;
        std::cerr << page.note;
        std::this_thread::sleep_for(*period);
    }
}

std::string host_name() {
    std::array<char, HOST_NAME_MAX + 1> name{};
    if (::gethostname(name.data(), name.size() - 1) != 0 || name.front() == '\0')
        return "this node";
    return name.data();
}

} // namespace ubf::ctl
