#include "daemon/gate/cases.hpp"

#include <utility>

namespace ubf {
namespace {

constexpr std::size_t most_packets = 1024; // of one flow; the sender retransmits what is beyond

} // namespace

void WaitingPackets::join(QueuedPacket another, std::uint32_t its_sequence) {
    if (sequence == its_sequence && more.size() < most_packets)
        more.push_back(std::move(another));
    else
        another.judge(Reason::overload);
}

void WaitingPackets::judge(Reason reason) {
    first.judge(reason);
    for (auto& each : more)
        each.judge(reason);
}

void Cases::wait(Case&& item, TimePoint deadline) {
    if (!item.deadline) {
        item.deadline = deadline;
        expiries_.add(deadline, {item.flow(), item.number});
    }
    const Flow flow = item.flow();
    waiting_.emplace(flow, std::move(item));
}

Case* Cases::find(const Flow& flow) {
    const auto found = waiting_.find(flow);
    return found == waiting_.end() ? nullptr : &found->second;
}

Case* Cases::find(const Flow& flow, std::uint64_t number) {
    auto* found = find(flow);
    return found != nullptr && found->number == number ? found : nullptr;
}

std::optional<Case> Cases::take(const Flow& flow) {
    auto node = waiting_.extract(flow);
    return node ? std::optional(std::move(node.mapped())) : std::nullopt;
}

std::optional<Case> Cases::take_expired(TimePoint now) {
    while (const auto due = expiries_.take(now)) {
        const auto& [flow, number] = due->key;
        if (find(flow, number) != nullptr)
            return take(flow);
    }
    return std::nullopt;
}

std::optional<Case> Cases::take_any() {
    return waiting_.empty() ? std::nullopt : take(Flow(waiting_.begin()->first));
}

} // namespace ubf
