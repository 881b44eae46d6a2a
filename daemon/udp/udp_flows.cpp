#include "daemon/udp/udp_flows.hpp"

#include "daemon/core/thread.hpp"

#include <cerrno>
#include <linux/capability.h>
#include <system_error>

namespace ubf {

UdpFlows::UdpFlows(Mark mark) {
    if (const int error = conntrack_.forget_marked(mark.allow(), mark.mask); error != 0)
        throw std::system_error(error, std::generic_category(),
                                "forgetting the UDP flows that were allowed before");
    thread_ = std::thread([this] { run(); });
}

UdpFlows::~UdpFlows() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    wanted_.notify_one();
    thread_.join();
}

void UdpFlows::run() {
    enter_thread("udp", {CAP_NET_ADMIN});
    Conntrack conntrack;
    std::vector<Flow> doomed;
    std::unique_lock lock(mutex_);
    while (true) {
        wanted_.wait(lock, [&] { return stopping_ || !doomed_.empty(); });
        if (stopping_)
            return;
        doomed.swap(doomed_);
        lock.unlock();
        for (const auto& flow : doomed)
            conntrack.forget(flow);
        doomed.clear();
        lock.lock();
    }
}

std::optional<UdpFlows::Lease> UdpFlows::remember(const Flow& flow, Cookie local,
                                                  std::optional<Cookie> other, TimePoint since) {
    const std::lock_guard lock(mutex_);
    if (gone_sockets_.maybe_since(local, since) ||
        (other && gone_sockets_.maybe_since(*other, since)) || gone_flows_.maybe_since(flow, since))
        return std::nullopt;
    const Entry entry{Lease{++last_lease_}, local, other};
    if (const auto found = flows_.find(flow); found != flows_.end()) {
        if (found->second.local == local && found->second.other == other) {
            found->second.lease = entry.lease;
            return entry.lease;
        }
        if (const auto old = erase(flow)) // it was another socket's
            conntrack_.forget(*old);
    }
    if (flows_.size() >= most)
        if (const auto old = erase(Flow(flows_.begin()->first)))
            conntrack_.forget(*old);
    flows_[flow] = entry;
    by_socket_[local].insert(flow);
    if (other && *other != local)
        by_socket_[*other].insert(flow);
    return entry.lease;
}

bool UdpFlows::confirm(const Flow& flow, Lease lease) {
    const std::lock_guard lock(mutex_);
    if (holds(flow, lease))
        return true;
    if (!flows_.contains(flow)) // else it is another worker's
        conntrack_.forget(flow);
    return false;
}

bool UdpFlows::in_use(const Flow& flow, Lease lease) {
    const std::lock_guard lock(mutex_);
    if (!holds(flow, lease))
        return false;
    if (conntrack_.find(flow) != ENOENT)
        return true;
    erase(flow);
    return false;
}

void UdpFlows::end(const Flow& flow, Lease lease) {
    const std::lock_guard lock(mutex_);
    if (!holds(flow, lease))
        return;
    erase(flow);
    conntrack_.forget(flow);
}

void UdpFlows::forget(Cookie cookie) {
    const std::lock_guard lock(mutex_);
    gone_sockets_.add(cookie, Clock::now());
    const auto found = by_socket_.find(cookie);
    if (found == by_socket_.end())
        return;
    const auto flows = found->second;
    for (const auto& flow : flows)
        if (auto old = erase(flow))
            doomed_.push_back(std::move(*old));
    wanted_.notify_one();
}

void UdpFlows::forget(const Flow& flow) {
    const std::lock_guard lock(mutex_);
    gone_flows_.add(flow, Clock::now());
    if (auto old = erase(flow)) {
        doomed_.push_back(std::move(*old));
        wanted_.notify_one();
    }
}

void UdpFlows::forget_all() {
    const std::lock_guard lock(mutex_);
    while (!flows_.empty())
        if (auto old = erase(Flow(flows_.begin()->first)))
            doomed_.push_back(std::move(*old));
    wanted_.notify_one();
}

std::size_t UdpFlows::size() const {
    const std::lock_guard lock(mutex_);
    return flows_.size();
}

bool UdpFlows::holds(const Flow& flow, Lease lease) const {
    const auto found = flows_.find(flow);
    return found != flows_.end() && found->second.lease == lease;
}

// Takes it out of our own books; what is returned, the kernel must still be told.
std::optional<Flow> UdpFlows::erase(const Flow& flow) {
    const auto found = flows_.find(flow);
    if (found == flows_.end())
        return std::nullopt;
    unlink(found->second.local, flow);
    if (found->second.other)
        unlink(*found->second.other, flow);
    return flows_.extract(found).key();
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
