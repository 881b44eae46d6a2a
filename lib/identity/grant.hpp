// A grant: user U may be at node N from one time to another, says a node whose certificate lets it
// grant, such as the scheduler's. Numbers are in network byte order.
//
// Offset and size, in bytes:
//  - 0, 4: 'U' 'B' 'G' 1
//  - 4, 8: serial of the granter's certificate
//  - 12, 4: uid
//  - 16, 4: job, for people; 0: none
//  - 20, 8: valid from, seconds since 1970
//  - 28, 8: valid until
//  - 1+n: name of the node, as its certificate has it
//  - end, 64: Ed25519's signature of all bytes before
#pragma once

#include "base/result.hpp"
#include "base/types.hpp"
#include "identity/certificate.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace ubf::identity {

inline constexpr std::size_t max_grant = 36 + 1 + max_name + signature_size;

struct Grant {
    Serial granter{};
    Uid uid{};
    std::uint32_t job = 0;
    Validity valid;
    std::string node;

    bool operator==(const Grant&) const = default;
};

std::optional<std::vector<std::uint8_t>> sign(const Grant& grant, const SigningKey& granter);
Result<Grant, Fault> parse_grant(Bytes bytes); // the format alone
// The granter's certificate must be the one that the grant names, valid now, and let it grant. The
// grant's own time is checked where it is used.
Result<Grant, Fault> check_grant(Bytes bytes, const Certificate& granter, Seconds now);

} // namespace ubf::identity
