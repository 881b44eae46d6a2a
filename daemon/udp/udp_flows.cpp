#include "daemon/udp/udp_flows.hpp"

#include "daemon/core/thread.hpp"

#include <algorithm>
#include <cerrno>
#include <linux/capability.h>
#include <system_error>

namespace ubf {

UdpFlows::UdpFlows(Mark mark, std::chrono::seconds udp_timeout)
  : udp_timeout_(udp_timeout) {
    if (const int error = kernel_.forget_all(mark.allow(), mark.mask); error != 0)
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
    UdpVerdicts kernel;
    std::vector<Doomed> doomed;
    std::unique_lock lock(mutex_);
    while (true) {
        wanted_.wait_for(lock, Heartbeat::period, [&] { return stopping_ || !doomed_.empty(); });
        if (stopping_)
            return;
        heartbeat_.beat(Clock::now());
        doomed.swap(doomed_);
        lock.unlock();
        for (const auto& each : doomed) {
            heartbeat_.beat(Clock::now());
            forget(kernel, each);
        }
        doomed.clear();
        lock.lock();
    }
}

std::optional<UdpFlows::Lease> UdpFlows::allow(const Flow& flow, Keeper keeper, const Ends& ends) {
    const std::lock_guard lock(mutex_);
    if (!is_certain(flow, ends))
        return std::nullopt;
    if (!flows_.contains(flow) && flows_.size() - count_of(Keeper::denied) >= most)
        make_room();
    return add(flow, {{}, keeper, ends.local, ends.other});
}

// Of those that are allowed, any; its next packet asks again.
void UdpFlows::make_room() {
    const auto any = std::ranges::find_if(
        flows_, [](const auto& entry) { return entry.second.keeper != Keeper::denied; });
    if (any != flows_.end())
        if (const auto old = erase(Flow(any->first)))
            forget(kernel_, *old);
}

std::optional<UdpFlows::Lease> UdpFlows::deny(const Flow& flow, OwnerKind kind, Uid user,
                                              const Ends& ends) {
    const std::lock_guard lock(mutex_);
    const auto now = Clock::now();
    erase_expired(now);
    if (!is_certain(flow, ends) || count_of(Keeper::denied) >= most_denied)
        return std::nullopt;
    const Sender sender{kind, user};
    if (const auto count = denied_of_.find(sender);
        count != denied_of_.end() && count->second >= most_denied_of_one)
        return std::nullopt;
    const auto lease = add(flow, {{}, Keeper::denied, ends.local, ends.other, sender});
    expiries_.push_back({now + denied_for, flow, lease});
    return lease;
}

bool UdpFlows::is_certain(const Flow& flow, const Ends& ends) const {
    return !gone_sockets_.maybe_since(ends.local, ends.since) &&
           !(ends.other && gone_sockets_.maybe_since(*ends.other, ends.since)) &&
           !gone_flows_.maybe_since(flow, ends.since);
}

UdpFlows::Lease UdpFlows::add(const Flow& flow, Entry entry) {
    entry.lease = Lease{++last_lease_};
    if (const auto found = flows_.find(flow); found != flows_.end()) {
        auto& old = found->second;
        const bool same = old.keeper == entry.keeper && old.local == entry.local &&
                          old.other == entry.other && old.sender == entry.sender;
        if (same) {
            old.lease = entry.lease;
            return entry.lease;
        }
        if (const auto doomed = erase(flow)) // it was another socket's, or the verdict another
            forget(kernel_, *doomed);
    }
    flows_[flow] = entry;
    ++count_of(entry.keeper);
    if (entry.keeper == Keeper::denied)
        ++denied_of_[entry.sender];
    by_socket_[entry.local].insert(flow);
    if (entry.other && *entry.other != entry.local)
        by_socket_[*entry.other].insert(flow);
    return entry.lease;
}

bool UdpFlows::confirm(const Flow& flow, Keeper keeper, Lease lease) {
    const std::lock_guard lock(mutex_);
    if (holds(flow, lease))
        return true;
    if (!flows_.contains(flow)) // else it is another worker's
        forget(kernel_, {flow, keeper});
    return false;
}

bool UdpFlows::in_use(const Flow& flow, Lease lease) {
    const std::lock_guard lock(mutex_);
    if (!holds(flow, lease))
        return false;
    if (kernel_.find(flow, flows_.at(flow).keeper) != ENOENT)
        return true;
    erase(flow);
    return false;
}

void UdpFlows::end(const Flow& flow, Lease lease) {
    const std::lock_guard lock(mutex_);
    if (!holds(flow, lease))
        return;
    if (const auto old = erase(flow))
        forget(kernel_, *old);
}

void UdpFlows::forget(std::span<const Cookie> cookies) {
    const std::lock_guard lock(mutex_);
    const auto now = Clock::now();
    for (const Cookie cookie : cookies) {
        gone_sockets_.add(cookie, now);
        const auto found = by_socket_.find(cookie);
        if (found == by_socket_.end())
            continue;
        const auto flows = found->second;
        for (const auto& flow : flows)
            erase_doomed(flow);
    }
}

void UdpFlows::forget(const Flow& flow) {
    const std::lock_guard lock(mutex_);
    gone_flows_.add(flow, Clock::now());
    erase_doomed(flow);
}

void UdpFlows::forget_all() {
    const std::lock_guard lock(mutex_);
    while (!flows_.empty())
        erase_doomed(Flow(flows_.begin()->first));
}

void UdpFlows::forget_denied() {
    const std::lock_guard lock(mutex_);
    std::vector<Flow> denied;
    for (const auto& [flow, entry] : flows_)
        if (entry.keeper == Keeper::denied)
            denied.push_back(flow);
    for (const auto& flow : denied)
        erase_doomed(flow);
}

std::size_t UdpFlows::size(Keeper keeper) const {
    const std::lock_guard lock(mutex_);
    return sizes_[static_cast<std::size_t>(keeper)];
}

bool UdpFlows::holds(const Flow& flow, Lease lease) const {
    const auto found = flows_.find(flow);
    return found != flows_.end() && found->second.lease == lease;
}

// Takes it out of our own books; what is returned, the kernel must still be told.
std::optional<UdpFlows::Doomed> UdpFlows::erase(const Flow& flow) {
    const auto found = flows_.find(flow);
    if (found == flows_.end())
        return std::nullopt;
    const auto& entry = found->second;
    --count_of(entry.keeper);
    if (entry.keeper == Keeper::denied && --denied_of_[entry.sender] == 0)
        denied_of_.erase(entry.sender);
    unlink(entry.local, flow);
    if (entry.other)
        unlink(*entry.other, flow);
    const auto keeper = entry.keeper;
    return Doomed{flows_.extract(found).key(), keeper};
}

void UdpFlows::erase_doomed(const Flow& flow) {
    if (auto old = erase(flow)) {
        doomed_.push_back(std::move(*old));
        wanted_.notify_one();
    }
}

// The kernel lets them go by itself.
void UdpFlows::erase_expired(TimePoint now) {
    while (!expiries_.empty() && expiries_.front().when <= now) {
        if (holds(expiries_.front().flow, expiries_.front().lease))
            erase(expiries_.front().flow);
        expiries_.pop_front();
    }
}

void UdpFlows::unlink(Cookie cookie, const Flow& flow) {
    const auto found = by_socket_.find(cookie);
    if (found == by_socket_.end())
        return;
    found->second.erase(flow);
    if (found->second.empty())
        by_socket_.erase(found);
}

void UdpFlows::forget(UdpVerdicts& kernel, const Doomed& doomed) const {
    static_cast<void>(kernel.forget(doomed.flow, doomed.keeper, udp_timeout_));
}

} // namespace ubf
