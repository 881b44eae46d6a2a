#include "latency.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <numeric>

namespace ubf::ctl {
namespace {

std::vector<std::uint64_t> numbers_at(const Json& json, const std::string& path) {
    std::vector<std::uint64_t> numbers;
    for (const auto& each : json.value(Json::json_pointer(path), Json::array()))
        numbers.push_back(each.is_number_unsigned() ? each.get<std::uint64_t>() : 0);
    return numbers;
}

std::string to_text(const Latencies& latencies) {
    const auto count = latencies.count();
    return count == 0 ? std::string("none")
                      : fmt::format("{}, half within {} us, 99 % within {} us", count,
                                    latencies.quantile_us(0.5), latencies.quantile_us(0.99));
}

} // namespace

std::uint64_t Latencies::count() const {
    return std::accumulate(counts.begin(), counts.end(), std::uint64_t{0});
}

std::uint64_t Latencies::quantile_us(double quantile) const {
    const auto all = count();
    if (all == 0 || bounds_us.empty())
        return 0;
    const auto rank = std::ceil(quantile * static_cast<double>(all));
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < std::min(counts.size(), bounds_us.size()); ++i) {
        seen += counts[i];
        if (static_cast<double>(seen) >= rank)
            return bounds_us[i];
    }
    return bounds_us.back();
}

Latencies Latencies::since(const Latencies& before) const {
    if (before.counts.size() != counts.size() || before.count() > count())
        return *this;
    auto rest = *this;
    for (std::size_t i = 0; i < counts.size(); ++i)
        rest.counts[i] -= std::min(before.counts[i], counts[i]);
    rest.sum_us -= std::min(before.sum_us, sum_us);
    return rest;
}

Latencies latencies_of(const Json& decision_us, const std::string& way) {
    return {numbers_at(decision_us, "/bounds"),
            numbers_at(decision_us, fmt::format("/{}/counts", way)),
            decision_us.value(Json::json_pointer(fmt::format("/{}/sum", way)), std::uint64_t{0})};
}

std::string latencies_text(const Latencies& queue, const Latencies& asked) {
    return fmt::format("by this node alone: {}; with a peer's answer: {}", to_text(queue),
                       to_text(asked));
}

std::string latencies_text(const Json& decision_us) {
    return latencies_text(latencies_of(decision_us, "queue"), latencies_of(decision_us, "asked"));
}

} // namespace ubf::ctl
