#include "daemon/udp/udp_flows.hpp"

namespace ubf {

bool UdpFlows::remember(const Flow& flow, Cookie local, std::optional<Cookie> other,
                        TimePoint since) {
    const std::lock_guard lock(mutex_);
    if (gone_sockets_.maybe_since(local, since) ||
        (other && gone_sockets_.maybe_since(*other, since)) || gone_flows_.maybe_since(flow, since))
        return false;
    erase(flow); // it may have been another socket's
    if (flows_.size() >= most)
        erase(Flow(flows_.begin()->first));
    flows_[flow] = {local, other};
    by_socket_[local].insert(flow);
    if (other && *other != local)
        by_socket_[*other].insert(flow);
    return true;
}

bool UdpFlows::confirm(const Flow& flow) {
    const std::lock_guard lock(mutex_);
    if (flows_.contains(flow))
        return true;
    conntrack_.forget(flow);
    return false;
}

void UdpFlows::forget(Cookie cookie) {
    const std::lock_guard lock(mutex_);
    gone_sockets_.add(cookie, Clock::now());
    const auto found = by_socket_.find(cookie);
    if (found == by_socket_.end())
        return;
    const auto flows = found->second;
    for (const auto& flow : flows)
        erase(flow);
}

void UdpFlows::forget(const Flow& flow) {
    const std::lock_guard lock(mutex_);
    gone_flows_.add(flow, Clock::now());
    erase(flow);
}

void UdpFlows::forget_all() {
    const std::lock_guard lock(mutex_);
    while (!flows_.empty())
        erase(Flow(flows_.begin()->first));
}

std::size_t UdpFlows::size() const {
    const std::lock_guard lock(mutex_);
    return flows_.size();
}

void UdpFlows::erase(const Flow& flow) {
    const auto found = flows_.find(flow);
    if (found == flows_.end())
        return;
    conntrack_.forget(flow);
    unlink(found->second.local, flow);
    if (found->second.other)
        unlink(*found->second.other, flow);
    flows_.erase(found);
}

void UdpFlows::unlink(Cookie cookie, const Flow& flow) {
    const auto found = by_socket_.find(cookie);
    if (found == by_socket_.end())
        return;
    found->second.erase(flow);
    if (found->second.empty())
        by_socket_.erase(found);
}

} // namespace ubf
