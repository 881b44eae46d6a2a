#include "daemon/gate/leases.hpp"

#include <utility>

namespace ubf {
namespace {

Keeper keeper(bool fabric) {
    return fabric ? Keeper::fabric : Keeper::ethernet;
}

} // namespace

bool Leases::allow(AllowedFlow allowed, const UdpFlows::Ends& ends) {
    const auto lease = verdicts_.allow(allowed.flow, keeper(allowed.fabric), ends);
    if (!lease)
        return false;
    allowed.lease = *lease;
    allowed_.push_back(allowed);
    return true;
}

void Leases::deny(const Flow& flow, const Owner& source, const UdpFlows::Ends& ends) {
    if (const auto lease = verdicts_.deny(flow, source, ends))
        denied_.push_back({flow, *lease});
}

void Leases::write() {
    using nft::Network;
    if (empty())
        return;
    for (const bool fabric : {false, true}) {
        const auto network = fabric ? Network::fabric : Network::ethernet;
        choose(allowed_, fabric);
        if (!leaving_.empty())
            count_full(verdicts_.write_allowed(network, leaving_));
        choose(renewed_, fabric);
        if (!leaving_.empty())
            count_full(verdicts_.write_renewed(network, leaving_));
    }
    leaving_.clear();
    for (const auto& denied : denied_)
        leaving_.push_back(denied.flow);
    if (!leaving_.empty())
        count_full(verdicts_.write_denied(leaving_));
}

void Leases::count_full(int error) {
    if (error != 0)
        counters_.sets_full.add(leaving_.size());
}

// The flows of the fabric, or all others, into leaving_.
void Leases::choose(const std::vector<AllowedFlow>& flows, bool fabric) {
    leaving_.clear();
    for (const auto& allowed : flows)
        if (allowed.fabric == fabric)
            leaving_.push_back(allowed.flow);
}

std::vector<AllowedFlow> Leases::confirm() {
    if (empty())
        return {};
    auto confirmed = std::exchange(allowed_, {});
    std::erase_if(confirmed, [&](const AllowedFlow& allowed) {
        return !verdicts_.confirm(allowed.flow, keeper(allowed.fabric), allowed.lease);
    });
    for (const auto& renewed : renewed_)
        verdicts_.confirm(renewed.flow, keeper(renewed.fabric), renewed.lease);
    renewed_.clear();
    for (const auto& denied : denied_)
        verdicts_.confirm(denied.flow, Keeper::denied, denied.lease);
    denied_.clear();
    return confirmed;
}

} // namespace ubf
