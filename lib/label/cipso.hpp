// Labelled networking: the sender's level in a packet, if the node's kernels put it there
// (NetLabel; netlabelctl(8)). Read from the CIPSO option of IPv4, tags 1, 2 and 5
// (net/ipv4/cipso_ipv4.c, draft-ietf-cipso-ipsecurity-01). Numbers are taken unchanged, which is
// right if the domain of interpretation passes them through.
#pragma once

#include "label/selinux.hpp"

#include <cstdint>
#include <optional>
#include <span>

namespace ubf {

struct StatedLevel {
    std::optional<SelinuxLevel> level; // nothing if it can't be read
};

// packet: from the network header on. Nothing if it states no level: no option, or one that only
// the sending node itself understands (the local tag).
std::optional<StatedLevel> stated_level(std::span<const std::uint8_t> packet);

} // namespace ubf
