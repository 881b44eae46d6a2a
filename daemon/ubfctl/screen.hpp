// Pages for people: in colour and through a pager on a terminal, or over and over.
#pragma once

#include "command.hpp"

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ubf::ctl {

enum class Colour { automatic, always, never };

std::optional<Colour> parse_colour(std::string_view word);
// no_color, term: of the environment, or null. See no-color.org.
bool wants_colour(Colour choice, bool is_terminal, const char* no_color, const char* term);

enum class Ink { plain, heading, good, warning, bad };

class Paint {
  public:
    explicit Paint(bool on)
      : on_(on) {}
    // The text, which has no colours yet, without its line's end.
    std::string operator()(Ink ink, std::string_view text) const;

  private:
    bool on_;
};

// The program that shows a page: $UBF_PAGER, $PAGER, or less. Nothing: none is wanted.
std::optional<std::string> pager_of(const char* ubf_pager, const char* pager);

struct Page {
    std::string text;
    std::string note{}; // to standard error, beneath
    int exit_status = 0;
};

// All return the page's exit status.
int show(const Globals& globals, const Page& page);
// Once or, with a period, again and again until somebody ends us.
int show(const Globals& globals, std::optional<std::chrono::seconds> period,
         const std::function<Page()>& make);

// This node's, as a page's first line has it.
std::string host_name();

} // namespace ubf::ctl
