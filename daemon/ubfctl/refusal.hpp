// A refusal as ubfd lists it, and words about it for people. No I/O.
#pragma once

#include "client.hpp"
#include "flow/flow.hpp"
#include "names.hpp"
#include "policy/verdict.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace ubf::ctl {

struct Refusal {
    struct End {
        std::string kind;
        std::optional<std::uint32_t> uid; // nothing: nobody knows, or we may not
        std::string program;              // escaped; empty: not known
        std::int64_t pid = 0;
        std::uint32_t job = 0;
        bool by_portal = false; // a web portal connected for the user
    };
    std::uint32_t id = 0;
    std::int64_t last_ms = 0; // since 1970
    std::uint64_t count = 1;
    std::string protocol;
    Endpoint from{};
    Endpoint to{};
    Reason reason = Reason::internal_error;
    bool ended = false;
    bool observed = false;
    bool is_listeners = false; // of the one who asks; else the connector is
    std::string told_by;       // empty: the node that was asked
    End connector;
    End listener;
    std::vector<std::uint32_t> common_groups;
    std::string hint;
};

// Nothing for what a ubfd of another version says in another way. All texts are fit to print.
std::optional<Refusal> to_refusal(const Json& json);

// The user's name, or `otherwise` where nobody says who it is.
std::string user_of(const Refusal::End& end, const std::string& otherwise, Names& names);
// "denied", "ended", or that it would be.
std::string verb_of(const Refusal& refusal);
// A few words about the reason.
std::string reason_in_words(Reason reason);
// The next thing to do for the one who asks: a sentence or two.
std::string advice(const Refusal& refusal, Names& names);
// "2026-11-28 13:40:02", local time.
std::string time_text(std::int64_t ms);
// "3 times", or nothing for one.
std::string times(std::uint64_t count);

} // namespace ubf::ctl
