#include "daemon/udp/udp_flows.hpp"

#include "daemon/core/thread.hpp"

#include <cerrno>
#include <linux/capability.h>
#include <system_error>
#include <utility>

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
            if (book_.find(each.flow, each.lease) == nullptr)
                continue; // the gate has ended it
            if (error == 0)
                erase(each.flow);
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
    if (book_.find(flow) == nullptr)
        if (const auto other = book_.in_the_way())
            end(*other); // its next packet asks again
    UdpBook::Entry entry{{}, keeper, ends.local, ends.user, ends.other};
    entry.until = Clock::now() + nft::udp_lease;
    return add(flow, entry);
}

std::optional<UdpFlows::Lease> UdpFlows::deny(const Flow& flow, OwnerKind kind, Uid user,
                                              const Ends& ends) {
    const std::lock_guard lock(mutex_);
    const auto now = Clock::now();
    book_.erase_expired(now);
    const UdpBook::Sender sender{kind, user};
    if (!is_certain(flow, ends) || !book_.may_deny(sender))
        return std::nullopt;
    const auto lease = add(flow, {{}, Keeper::denied, ends.local, ends.user, ends.other, sender});
    if (lease)
        book_.expires(flow, *lease, now + denied_for);
    return lease;
}

bool UdpFlows::is_certain(const Flow& flow, const Ends& ends) const {
    return !gone_sockets_.maybe_since(ends.local, ends.since) &&
           !(ends.other && gone_sockets_.maybe_since(*ends.other, ends.since)) &&
           !gone_flows_.maybe_since(flow, ends.since);
}

// Nothing if the kernel could not be told to end another verdict on the flow, or for which user its
// datagrams are.
std::optional<UdpFlows::Lease> UdpFlows::add(const Flow& flow, UdpBook::Entry entry) {
    entry.lease = book_.next_lease();
    if (auto* old = book_.find(flow)) {
        if (old->can_become(entry)) {
            old->lease = entry.lease;
            old->until = entry.until;
            return entry.lease;
        }
        if (end(flow) != 0) // the old one is another socket's, or another verdict
            return std::nullopt;
    }
    if (entry.is_allowed() && !receivers_.bind(flow, entry.user))
        return std::nullopt;
    book_.add(flow, entry);
    return entry.lease;
}

bool UdpFlows::confirm(const Flow& flow, Keeper keeper, Lease lease) {
    const std::lock_guard lock(mutex_);
    auto* entry = book_.find(flow);
    if (entry != nullptr && entry->lease == lease && !entry->ending) {
        entry->until = Clock::now() + nft::udp_lease;
        return true;
    }
    if (entry == nullptr) {
        if (kernel_.forget(flow, keeper) != 0)
            counters_.flows.not_ended.add(); // it goes on until its lease ends
    } else if (entry->ending) {
        end(flow);
    } // else it is another worker's
    return false;
}

bool UdpFlows::in_use(const Flow& flow, Lease lease) {
    const std::lock_guard lock(mutex_);
    const auto* entry = book_.find(flow, lease);
    if (entry == nullptr)
        return false;
    const bool over = entry->ending || entry->until <= Clock::now() ||
                      kernel_.find_use(flow, entry->keeper) == ENOENT;
    return !over || end(flow) != 0;
}

int UdpFlows::end(const Flow& flow, Lease lease) {
    const std::lock_guard lock(mutex_);
    return book_.find(flow, lease) == nullptr ? 0 : end(flow);
}

void UdpFlows::forget(std::span<const Cookie> cookies) {
    const std::lock_guard lock(mutex_);
    const auto now = Clock::now();
    for (const Cookie cookie : cookies) {
        gone_sockets_.add(cookie, now);
        for (const auto& flow : book_.flows_of(cookie))
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
    for (const auto& [flow, entry] : book_.flows())
        doom(flow);
}

void UdpFlows::forget_denied() {
    const std::lock_guard lock(mutex_);
    for (const auto& [flow, entry] : book_.flows())
        if (!entry.is_allowed())
            doom(flow);
}

std::size_t UdpFlows::size(Keeper keeper) const {
    const std::lock_guard lock(mutex_);
    return book_.size(keeper);
}

// Leaves the flow to our own thread, which ends it.
void UdpFlows::doom(const Flow& flow) {
    auto* entry = book_.find(flow);
    if (entry == nullptr || std::exchange(entry->ending, true))
        return;
    doomed_.push_back({flow, entry->keeper, entry->lease});
    wanted_.notify_one();
}

// The entry is erased once the kernel has confirmed. 0, or an errno: then our thread tries again,
// or the next look does. Meanwhile the lease may expire. The flow must be there.
int UdpFlows::end(const Flow& flow) {
    const int error = kernel_.forget(flow, book_.find(flow)->keeper);
    if (error == 0) {
        erase(flow);
        return 0;
    }
    counters_.flows.not_ended.add();
    doom(flow);
    return error;
}

void UdpFlows::erase(const Flow& flow) {
    const auto entry = book_.erase(flow);
    if (entry.is_allowed())
        receivers_.release(flow, entry.user);
}

} // namespace ubf
