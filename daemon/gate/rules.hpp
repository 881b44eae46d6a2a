// The part of the configuration that a reload changes for the gate, in one piece.
#pragma once

#include "config/observation.hpp"
#include "daemon/ident/guard.hpp"
#include "flow/address.hpp"
#include "label/label.hpp"
#include "netlink/link.hpp"
#include "policy/policy.hpp"

#include <chrono>
#include <memory>
#include <optional>
#include <vector>

namespace ubf {

struct Rules {
    // One for the fabric, one for all other interfaces.
    struct Side {
        Policy policy;
        std::vector<Prefix> peers;
    };
    Side ethernet;
    Side fabric;
    Observation observed;
    std::vector<Label> pkeys; // partitions that are labels
    std::chrono::milliseconds deadline;
    std::shared_ptr<const ident::Terms> terms;
    bool labelled = false; // something gives labels
    bool selinux = false;  // SELinux does
    bool end_flows = true; // whose label was withdrawn

    const Side& side(bool is_fabric) const { return is_fabric ? fabric : ethernet; }
    // The label of both ends of a flow that comes in over this interface of the fabric.
    std::optional<Label> partition(const Link& link) const;
};

} // namespace ubf
