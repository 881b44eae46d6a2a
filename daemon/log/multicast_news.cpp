#include "daemon/log/multicast_news.hpp"

#include <fmt/format.h>

namespace ubf {

std::vector<std::string> MulticastNews::tell(const std::vector<Endpoint>& dropped, TimePoint now) {
    const auto [places, others] = news_.find(dropped, now);
    std::vector<std::string> news;
    news.reserve(places.size() + 1);
    for (const auto& place : places)
        news.push_back(
            fmt::format("multicast or broadcast to {} is dropped, because it would reach every "
                        "listener, whoever it is; to let it reach all of them, add udp/{} to "
                        "scope.exempt_ports (on IPoIB: fabric.exempt_ports)",
                        to_string(place), place.port));
    const bool told_lately = told_of_others_ != TimePoint{} && now - told_of_others_ < again_after;
    if (others > 0 && !told_lately) {
        told_of_others_ = now;
        news.push_back(fmt::format("multicast or broadcast to {} more places is dropped; 'nft list "
                                   "set inet ubf multicast4' and 'multicast6' list them",
                                   others));
    }
    return news;
}

} // namespace ubf
