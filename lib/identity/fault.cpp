#include "identity/fault.hpp"

namespace ubf::identity {

std::string_view to_string(Fault fault) {
    switch (fault) {
    case Fault::malformed:
        return "malformed";
    case Fault::other_authority:
        return "other-authority";
    case Fault::forged:
        return "forged";
    case Fault::not_yet:
        return "not-yet";
    case Fault::expired:
        return "expired";
    case Fault::revoked:
        return "revoked";
    case Fault::older:
        return "older";
    case Fault::elsewhere:
        return "elsewhere";
    case Fault::no_granter:
        return "no-granter";
    case Fault::count_:
        break;
    }
    return "?";
}

} // namespace ubf::identity
