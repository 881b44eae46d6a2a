// Whether a node's word about one of its sockets counts. It is a pure function of the class in the
// node's certificate, of the owner that the node names, and of the grants for that user.
#pragma once

#include "base/types.hpp"
#include "identity/grant.hpp"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace ubf::identity {

struct ClassRule {
    std::vector<UidRange> users{}; // for whom nodes of the class may speak
    bool kernel = false;           // for sockets of the kernel
    bool exempt = false;           // whether policy.exempt_connectors counts for them
    bool jobs = false;             // only with a grant
    bool groups = true;            // the groups and labels that they tell of a user count

    bool operator==(const ClassRule&) const = default;
};

// The owner that a node names.
struct Vouched {
    bool is_kernel = false;
    Uid uid{};              // unless it is the kernel's
    bool is_exempt = false; // by policy.exempt_connectors, at that address
};

enum class Vouching : std::uint8_t {
    counts,
    unknown_class, // the configuration has no such class
    kernel,        // not for sockets of the kernel
    user,          // not for this uid
    exempt,        // not for exempt users
    no_grant,      // for users with a grant, which this one has not at that node now
};

std::string_view to_string(Vouching vouching);

// rule: of the class; nullptr: there is none. grants: checked ones. An exempt user of a class that
// lets exempt users count needs no grant.
Vouching may_vouch(const ClassRule* rule, std::string_view node, const Vouched& owner,
                   std::span<const Grant> grants, Seconds now);

} // namespace ubf::identity
