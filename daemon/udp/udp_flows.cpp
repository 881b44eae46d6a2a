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
  , held_(receivers, UdpVerdicts(table, lately_sent)) {
    if (const int error = held_.lock()->kernel.forget_all(); error != 0)
        throw std::system_error(error, std::generic_category(),
                                "forgetting the UDP flows that were allowed before");
    thread_ = std::thread([this] { run(); });
}

UdpFlows::~UdpFlows() {
    held_.lock()->stopping = true;
    wanted_.notify_one();
    thread_.join();
}

void UdpFlows::run() {
    enter_thread("udp", {CAP_NET_ADMIN});
    UdpVerdicts kernel(table_, lately_sent_); // our own, so that the gate need not wait for us
    std::vector<Doomed> doomed;
    auto held = held_.lock();
    while (true) {
        wanted_.wait_for(held.mutex(), Heartbeat::period,
                         [&] { return held->stopping || !held->doomed.empty(); });
        if (held->stopping)
            return;
        heartbeat_.beat(Clock::now());
        held->receivers.look(Clock::now());
        doomed.swap(held->doomed);
        for (const auto& each : doomed) {
            held.mutex().unlock();
            const int error = kernel.forget(each.flow, each.keeper);
            held.mutex().lock();
            heartbeat_.beat(Clock::now());
            if (held->book.find(each.flow, each.lease) == nullptr)
                continue; // the gate has ended it
            if (error == 0)
                held->erase(each.flow);
            else
                held->doomed.push_back(each);
        }
        if (!held->doomed.empty() && held->doomed.size() == doomed.size())
            wanted_.wait_for(held.mutex(), retry_pause, [&] { return held->stopping; });
        doomed.clear();
    }
}

std::optional<UdpFlows::Lease> UdpFlows::allow(const Flow& flow, Keeper keeper, const Ends& ends) {
    const auto held = held_.lock();
    if (!held->is_certain(flow, ends))
        return std::nullopt;
    if (held->book.find(flow) == nullptr)
        if (const auto other = held->book.in_the_way(ends.user))
            end(*held, *other); // its next packet asks again
    UdpBook::Entry entry{{}, keeper, ends.local, ends.user, ends.other};
    entry.until = Clock::now() + nft::udp_lease;
    return add(*held, flow, entry);
}

std::optional<UdpFlows::Lease> UdpFlows::deny(const Flow& flow, OwnerKind kind, Uid user,
                                              const Ends& ends) {
    const auto held = held_.lock();
    const auto now = Clock::now();
    held->book.erase_expired(now);
    const UdpBook::Sender sender{kind, user};
    if (!held->is_certain(flow, ends) || !held->book.may_deny(sender))
        return std::nullopt;
    const auto lease =
        add(*held, flow, {{}, Keeper::denied, ends.local, ends.user, ends.other, sender});
    if (lease)
        held->book.expires(flow, *lease, now + denied_for);
    return lease;
}

bool UdpFlows::Held::is_certain(const Flow& flow, const Ends& ends) const {
    return !gone_sockets.maybe_since(ends.local, ends.since) &&
           !(ends.other && gone_sockets.maybe_since(*ends.other, ends.since)) &&
           !gone_flows.maybe_since(flow, ends.since);
}

// Nothing if the kernel could not be told to end another verdict on the flow, or for which user its
// datagrams are.
std::optional<UdpFlows::Lease> UdpFlows::add(Held& held, const Flow& flow, UdpBook::Entry entry) {
    entry.lease = held.book.next_lease();
    if (auto* old = held.book.find(flow)) {
        if (old->can_become(entry)) {
            old->lease = entry.lease;
            old->until = entry.until;
            return entry.lease;
        }
        if (end(held, flow) != 0) // the old one is another socket's, or another verdict
            return std::nullopt;
    }
    if (entry.is_allowed() && !held.receivers.bind(flow, entry.user))
        return std::nullopt;
    held.book.add(flow, entry);
    return entry.lease;
}

bool UdpFlows::confirm(const Flow& flow, Keeper keeper, Lease lease) {
    const auto held = held_.lock();
    auto* entry = held->book.find(flow);
    if (entry != nullptr && entry->lease == lease && !entry->ending) {
        entry->until = Clock::now() + nft::udp_lease;
        return true;
    }
    if (entry == nullptr) {
        if (held->kernel.forget(flow, keeper) != 0)
            counters_.flows.not_ended.add(); // it goes on until its lease ends
    } else if (entry->ending) {
        end(*held, flow);
    } // else it is another worker's
    return false;
}

bool UdpFlows::in_use(const Flow& flow, Lease lease) {
    const auto held = held_.lock();
    const auto* entry = held->book.find(flow, lease);
    if (entry == nullptr)
        return false;
    const bool over = entry->ending || entry->until <= Clock::now() ||
                      held->kernel.find_use(flow, entry->keeper) == ENOENT;
    return !over || end(*held, flow) != 0;
}

int UdpFlows::end(const Flow& flow, Lease lease) {
    const auto held = held_.lock();
    return held->book.find(flow, lease) == nullptr ? 0 : end(*held, flow);
}

void UdpFlows::forget(std::span<const Cookie> cookies) {
    const auto held = held_.lock();
    const auto now = Clock::now();
    for (const Cookie cookie : cookies) {
        held->gone_sockets.add(cookie, now);
        for (const auto& flow : held->book.flows_of(cookie))
            doom(*held, flow);
    }
}

void UdpFlows::forget(const Flow& flow) {
    const auto held = held_.lock();
    held->gone_flows.add(flow, Clock::now());
    doom(*held, flow);
}

void UdpFlows::forget_all() {
    const auto held = held_.lock();
    for (const auto& [flow, entry] : held->book.flows())
        doom(*held, flow);
}

void UdpFlows::forget_denied() {
    const auto held = held_.lock();
    for (const auto& [flow, entry] : held->book.flows())
        if (!entry.is_allowed())
            doom(*held, flow);
}

std::size_t UdpFlows::size(Keeper keeper) const {
    return held_.lock()->book.size(keeper);
}

// Leaves the flow to our own thread, which ends it.
void UdpFlows::doom(Held& held, const Flow& flow) {
    auto* entry = held.book.find(flow);
    if (entry == nullptr || std::exchange(entry->ending, true))
        return;
    held.doomed.push_back({flow, entry->keeper, entry->lease});
    wanted_.notify_one();
}

// The entry is erased once the kernel has confirmed. 0, or an errno: then our thread tries again,
// or the next look does. Meanwhile the lease may expire. The flow must be there.
int UdpFlows::end(Held& held, const Flow& flow) {
    const int error = held.kernel.forget(flow, held.book.find(flow)->keeper);
    if (error == 0) {
        held.erase(flow);
        return 0;
    }
    counters_.flows.not_ended.add();
    doom(held, flow);
    return error;
}

void UdpFlows::Held::erase(const Flow& flow) {
    const auto entry = book.erase(flow);
    if (entry.is_allowed())
        receivers.release(flow, entry.user);
}

} // namespace ubf
