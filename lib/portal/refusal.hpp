// The reason why a portal must not connect, as the portal and its user get to know it.
#pragma once

#include <string>

namespace ubf::portal {

struct Refusal {
    std::string reason;    // a word, such as "different-user"
    std::string explain;   // one line of printable ASCII; names nobody but the person themselves
    unsigned status = 403; // the HTTP status that the portal may show
};

inline Refusal malformed(std::string explain) {
    return {"malformed", std::move(explain), 400};
}

inline Refusal not_a_target(std::string explain) {
    return {"not-a-target", std::move(explain), 403};
}

} // namespace ubf::portal
