// Why the question of a web portal is refused, beside the reasons of the policy.
#pragma once

#include <cstdint>
#include <string_view>

namespace ubf {

enum class Objection : std::uint8_t {
    no_user,      // nobody, or one for whom no portal may ask
    not_a_target, // an address or port that portals don't reach
    malformed,    // a question that can't be read
    not_a_portal, // of a user who is no portal
    busy,         // too many questions wait already
    count_,
};

constexpr std::string_view to_string(Objection objection) {
    switch (objection) {
    case Objection::no_user:
        return "no-user";
    case Objection::not_a_target:
        return "not-a-target";
    case Objection::malformed:
        return "malformed";
    case Objection::not_a_portal:
        return "not-a-portal";
    case Objection::busy:
        return "busy";
    case Objection::count_:
        break;
    }
    return "?";
}

} // namespace ubf
