// How long ubfd takes for a decision, as its histograms tell. No I/O.
#pragma once

#include "client.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace ubf::ctl {

// Decisions by the time that they took.
struct Latencies {
    std::vector<std::uint64_t> bounds_us; // of each bucket but the last, which has none
    std::vector<std::uint64_t> counts;    // by bucket
    std::uint64_t sum_us = 0;

    std::uint64_t count() const;
    // The bound of the bucket in which the quantile is; 0 without any decision. Beyond all bounds
    // it is the last of them.
    std::uint64_t quantile_us(double quantile) const;
    // Those since an earlier look; all if ubfd was restarted meanwhile.
    Latencies since(const Latencies& before) const;
};

// way: "queue", this node alone decided; "asked", a peer was asked as well. decision_us: of the
// status. Empty for a ubfd that has none.
Latencies latencies_of(const Json& decision_us, const std::string& way);

// "queue 12 in at most 50 us, p99 250 us; asked ..."
std::string latencies_text(const Json& decision_us);
std::string latencies_text(const Latencies& queue, const Latencies& asked);

} // namespace ubf::ctl
