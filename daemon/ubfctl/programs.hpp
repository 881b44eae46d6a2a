// The programs behind flows, at the ends that are on this node. ubfctl looks by itself, as ss(8)
// does: that costs ubfd nothing.
#pragma once

#include "client.hpp"

#include <vector>

namespace ubf::ctl {

// Adds program, job and label to each flow, as `flows` lists it, where they are known. jobs: as
// `job list` has them.
void add_programs(std::vector<Json>& flows, const Json& jobs);

} // namespace ubf::ctl
