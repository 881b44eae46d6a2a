#include "portal/answer.hpp"

#include "base/escape.hpp"
#include "base/json.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace ubf::portal {
namespace {

constexpr std::size_t most_in_reason = 64;
constexpr std::size_t most_in_explain = 300;

// A header's value: no byte of it ends the header. Portals put it into pages, and few of them
// escape.
std::string plain(std::string_view text) {
    auto result = escape(text.substr(0, most_in_explain));
    std::ranges::replace_if(
        result, [](char c) { return std::string_view("<>&\"'").find(c) != std::string_view::npos; },
        '?');
    if (result.size() > most_in_explain)
        result.resize(most_in_explain);
    return result;
}

// A word such as "same-user".
std::string word(std::string_view text) {
    const bool good =
        !text.empty() && text.size() <= most_in_reason &&
        text.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-") == std::string_view::npos;
    return good ? std::string(text) : "unavailable";
}

struct Words {
    std::string_view reason;
    std::string_view title;
    std::string_view advice;
};

constexpr Words all_words[] = {
    {"different-user", "This page belongs to somebody else",
     "To share a program, start it under a group that you both are in, and try again."},
    {"label-required", "This page has another label",
     "Open it from where you work with the label of its program."},
    {"no-user", "You are not logged in", "Log in to this site, and open the page again."},
    {"no-listener", "No program is there",
     "Your program has ended, or has not started yet. Look at your job, and try again."},
    {"no-answer", "The node does not answer",
     "Try again in a minute. If that does not help, tell the people who run this site."},
    {"busy", "Too many people at once", "Try again in a few seconds."},
    {"unavailable", "The firewall does not answer",
     "Try again in a minute. If that does not help, tell the people who run this site."},
    {"malformed", "This address is wrong", "Check the address of the page, or start from a link."},
    {"not-a-target", "This place is out of reach",
     "The portal connects to programs of users on nodes of this cluster only."},
    {"not-a-portal", "This portal may not ask",
     "Tell the people who run this site: portal.users does not list the portal."},
};

// They are logged in, but ubfd refuses to speak for them.
constexpr Words not_for_them{
    "no-user", "This portal may not ask for you",
    "Tell the people who run this site: portal.for does not have your account, or the portal's "
    "machine does not know it."};

Words words_of(std::string_view reason, unsigned status) {
    if (reason == not_for_them.reason && status != 401)
        return not_for_them;
    for (const auto& words : all_words)
        if (words.reason == reason)
            return words;
    return {reason, "This page is not open to you",
            "Tell the people who run this site the reason below."};
}

std::string page_of(const Refusal& refusal) {
    const auto words = words_of(refusal.reason, refusal.status);
    return fmt::format(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\">"
        "<meta name=\"viewport\" content=\"width=device-width\">"
        "<meta name=\"robots\" content=\"noindex\">\n<title>{}</title>\n"
        "<style>body{{font:18px/1.5 system-ui,sans-serif;max-width:34em;margin:12vh auto;padding:0 "
        "1em;"
        "color:#1b2733;background:#f6f7f9}}h1{{font-size:1.6em}}small{{color:#5b6875}}"
        "@media(prefers-color-scheme:dark){{body{{color:#e8edf2;background:#14191f}}"
        "small{{color:#9aa7b4}}}}</style>\n"
        "<h1>{}</h1>\n<p>{}</p>\n<p>{}</p>\n<p><small>ubf: {}</small></p>\n</html>\n",
        words.title, words.title, refusal.explain, words.advice, refusal.reason);
}

std::string object_of(const Refusal& refusal) {
    return ubf::to_line({{"allowed", false},
                         {"reason", refusal.reason},
                         {"explain", refusal.explain},
                         {"status", refusal.status}});
}

void add_body(Response& response, const Refusal& refusal, Form form) {
    if (form == Form::html) {
        response.fields.emplace_back("Content-Type", "text/html; charset=utf-8");
        response.fields.emplace_back("Content-Security-Policy",
                                     "default-src 'none'; style-src 'unsafe-inline'");
        response.fields.emplace_back("X-Content-Type-Options", "nosniff");
        response.body = page_of(refusal);
    } else if (form == Form::json) {
        response.fields.emplace_back("Content-Type", "application/json");
        response.body = object_of(refusal);
    }
}

// nginx makes 500 of every code but these three.
unsigned code_of(const Refusal& refusal) {
    return refusal.status == 401 || refusal.status == 503 ? refusal.status : 403;
}

} // namespace

Response response_to(const Result<Grant, Refusal>& answer, Form form) {
    Response response;
    response.fields.emplace_back("Cache-Control", "no-store");
    if (answer) {
        response.code = 204;
        response.fields.emplace_back("UBF-Reason", word(answer->reason));
        response.fields.emplace_back("UBF-Address", to_string(answer->address));
        if (answer->source)
            response.fields.emplace_back("UBF-Source", to_string(*answer->source));
        return response;
    }
    auto refusal = answer.error();
    refusal.reason = word(refusal.reason);
    refusal.explain = plain(refusal.explain);
    response.code = code_of(refusal);
    response.fields.emplace_back("UBF-Reason", refusal.reason);
    if (!refusal.explain.empty())
        response.fields.emplace_back("UBF-Explain", refusal.explain);
    response.fields.emplace_back("UBF-Status", std::to_string(refusal.status));
    add_body(response, refusal, form);
    return response;
}

} // namespace ubf::portal
