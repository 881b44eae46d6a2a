// Why a certificate, a roster, a grant or a request counts for nothing.
#pragma once

#include <cstdint>
#include <string_view>

namespace ubf::identity {

enum class Fault : std::uint8_t {
    malformed,       // does not match the format, to the byte
    other_authority, // signed by a key that this node does not accept: another cluster's, or an old
    forged,          // the signature does not fit
    not_yet,         // its time has not come
    expired,
    revoked,    // its serial is on the roster's list
    older,      // a roster with a smaller number than one that was accepted
    elsewhere,  // not for this node, or from an address that its prefixes lack
    no_granter, // signed by a node that may not grant
    count_,
};

std::string_view to_string(Fault fault);

} // namespace ubf::identity
