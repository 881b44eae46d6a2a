#include "daemon/udp/udp_flows.hpp"

#include "daemon/core/thread.hpp"

#include <algorithm>
#include <cerrno>
#include <linux/capability.h>
#include <system_error>

namespace ubf {

namespace {

// The pause before the kernel is told again: it had no memory, or another program's transaction was
// under way.
constexpr std::chrono::milliseconds retry_pause{50};

} // namespace

UdpFlows::UdpFlows(nft::Connection& table, LatelySent& lately_sent, UdpReceivers& receivers,
                   Counters& counters)
  : table_(table)
  , lately_sent_(lately_sent)
  , counters_(counters)
  , receivers_(receivers)
  , kernel_(table, lately_sent) {
    if (const int error = kernel_.forget_all(); error != 0)
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
    UdpVerdicts kernel(table_, lately_sent_); // our own, so that the gate need not wait for us
    std::vector<Doomed> doomed;
    std::unique_lock lock(mutex_);
    while (true) {
        wanted_.wait_for(lock, Heartbeat::period, [&] { return stopping_ || !doomed_.empty(); });
        if (stopping_)
            return;
        heartbeat_.beat(Clock::now());
        receivers_.look(Clock::now());
        doomed.swap(doomed_);
        for (const auto& each : doomed) {
            lock.unlock();
            const int error = kernel.forget(each.flow, each.keeper);
            lock.lock();
            heartbeat_.beat(Clock::now());
            if (const auto entry = find(each.flow, each.lease); entry == flows_.end())
                continue; // the gate has ended it
            else if (error == 0)
                erase(entry);
            else
                doomed_.push_back(each);
        }
        if (!doomed_.empty() && doomed_.size() == doomed.size())
            wanted_.wait_for(lock, retry_pause, [&] { return stopping_; });
        doomed.clear();
    }
}

std::optional<UdpFlows::Lease> UdpFlows::allow(const Flow& flow, Keeper keeper, const Ends& ends) {
    const std::lock_guard lock(mutex_);
    if (!is_certain(flow, ends))
        return std::nullopt;
    if (!flows_.contains(flow) && flows_.size() - count_of(Keeper::denied) >= most)
        make_room();
    Entry entry{{}, keeper, ends.local, ends.user, ends.other};
    entry.until = Clock::now() + nft::udp_lease;
    return add(flow, entry);
}

// Any allowed flow ends; its next packet asks again.
void UdpFlows::make_room() {
    const auto any = std::ranges::find_if(
        flows_, [](const auto& entry) { return entry.second.keeper != Keeper::denied; });
    if (any != flows_.end())
        end(any);
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
    const auto lease = add(flow, {{}, Keeper::denied, ends.local, ends.user, ends.other, sender});
    if (lease)
        expiries_.push_back({now + denied_for, flow, *lease});
    return lease;
}

bool UdpFlows::is_certain(const Flow& flow, const Ends& ends) const {
    return !gone_sockets_.maybe_since(ends.local, ends.since) &&
           !(ends.other && gone_sockets_.maybe_since(*ends.other, ends.since)) &&
           !gone_flows_.maybe_since(flow, ends.since);
}

// Nothing if the kernel could not be told to end another verdict on the flow, or for which user its
// datagrams are.
std::optional<UdpFlows::Lease> UdpFlows::add(const Flow& flow, Entry entry) {
    entry.lease = Lease{++last_lease_};
    if (const auto found = flows_.find(flow); found != flows_.end()) {
        auto& old = found->second;
        const bool same = !old.ending && old.keeper == entry.keeper && old.local == entry.local &&
                          old.other == entry.other && old.sender == entry.sender;
        if (same) {
            old.lease = entry.lease;
            old.until = entry.until;
            return entry.lease;
        }
        if (end(found) != 0) // the old one is another socket's, or another verdict
            return std::nullopt;
    }
    if (entry.keeper != Keeper::denied && !receivers_.bind(flow, entry.user))
        return std::nullopt;
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
    if (const auto found = find(flow, lease); found != flows_.end() && !found->second.ending) {
        found->second.until = Clock::now() + nft::udp_lease;
        return true;
    }
    const auto found = flows_.find(flow);
    if (found == flows_.end()) {
        if (kernel_.forget(flow, keeper) != 0)
            counters_.flows_not_ended.add(); // it goes on until its lease ends
    } else if (found->second.ending) {
        end(found);
    } // else it is another worker's
    return false;
}

bool UdpFlows::in_use(const Flow& flow, Lease lease) {
    const std::lock_guard lock(mutex_);
    const auto found = find(flow, lease);
    if (found == flows_.end())
        return false;
    const auto& entry = found->second;
    const bool over = entry.ending || entry.until <= Clock::now() ||
                      kernel_.find_use(flow, entry.keeper) == ENOENT;
    return !over || end(found) != 0;
}

int UdpFlows::end(const Flow& flow, Lease lease) {
    const std::lock_guard lock(mutex_);
    const auto found = find(flow, lease);
    return found == flows_.end() ? 0 : end(found);
}

void UdpFlows::forget(std::span<const Cookie> cookies) {
    const std::lock_guard lock(mutex_);
    const auto now = Clock::now();
    for (const Cookie cookie : cookies) {
        gone_sockets_.add(cookie, now);
        const auto found = by_socket_.find(cookie);
        if (found == by_socket_.end())
            continue;
        for (const auto& flow : found->second)
            doom(flow);
    }
}

void UdpFlows::forget(const Flow& flow) {
    const std::lock_guard lock(mutex_);
    gone_flows_.add(flow, Clock::now());
    doom(flow);
}

void UdpFlows::forget_all() {
    const std::lock_guard lock(mutex_);
    for (const auto& [flow, entry] : flows_)
        doom(flow);
}

void UdpFlows::forget_denied() {
    const std::lock_guard lock(mutex_);
    for (const auto& [flow, entry] : flows_)
        if (entry.keeper == Keeper::denied)
            doom(flow);
}

std::size_t UdpFlows::size(Keeper keeper) const {
    const std::lock_guard lock(mutex_);
    return sizes_[static_cast<std::size_t>(keeper)];
}

UdpFlows::Entries::iterator UdpFlows::find(const Flow& flow, Lease lease) {
    const auto found = flows_.find(flow);
    return found != flows_.end() && found->second.lease == lease ? found : flows_.end();
}

// Leaves the flow to our own thread, which ends it.
void UdpFlows::doom(const Flow& flow) {
    const auto found = flows_.find(flow);
    if (found == flows_.end() || std::exchange(found->second.ending, true))
        return;
    doomed_.push_back({flow, found->second.keeper, found->second.lease});
    wanted_.notify_one();
}

// The entry is erased once the kernel has confirmed. 0, or an errno: then our thread tries again,
// or the next look does. Meanwhile the lease may expire.
int UdpFlows::end(Entries::iterator entry) {
    const int error = kernel_.forget(entry->first, entry->second.keeper);
    if (error == 0) {
        erase(entry);
        return 0;
    }
    counters_.flows_not_ended.add();
    doom(Flow(entry->first));
    return error;
}

void UdpFlows::erase(Entries::iterator found) {
    const auto node = flows_.extract(found);
    const auto& flow = node.key();
    const auto& entry = node.mapped();
    --count_of(entry.keeper);
    if (entry.keeper == Keeper::denied && --denied_of_[entry.sender] == 0)
        denied_of_.erase(entry.sender);
    if (entry.keeper != Keeper::denied)
        receivers_.release(flow, entry.user);
    unlink(entry.local, flow);
    if (entry.other)
        unlink(*entry.other, flow);
}

// Erases denied flows that the kernel has expired by itself.
void UdpFlows::erase_expired(TimePoint now) {
    while (!expiries_.empty() && expiries_.front().when <= now) {
        const auto& [when, flow, lease] = expiries_.front();
        if (const auto found = find(flow, lease); found != flows_.end())
            erase(found);
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

} // namespace ubf
