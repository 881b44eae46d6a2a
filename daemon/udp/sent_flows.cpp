#include "daemon/udp/sent_flows.hpp"

#include <linux/capability.h>
#include <utility>

namespace ubf {

SentFlows::SentFlows(const LatelySent& lately)
  : lately_(lately) {
    thread_.start("sent", {CAP_NET_ADMIN}, {[] { return std::nullopt; }, [](TimePoint) {}});
}

void SentFlows::stop() {
    stopping_ = true;
    thread_.stop();
}

bool SentFlows::find(const Address& asker, std::vector<Flow> flows, Then then) {
    auto room = shares_.take(asker, flows.size());
    if (!room)
        return false;
    thread_.post(
        [this, flows = std::move(flows), then = std::move(then), room = std::move(room)]() mutable {
            if (stopping_)
                return;
            std::vector<bool> sent;
            for (const auto& flow : flows)
                sent.push_back(was_sent(flow));
            room.reset();
            then(std::move(sent));
        });
    return true;
}

bool SentFlows::find_original(const Address& asker, const Flow& flow, ThenOriginal then) {
    auto room = shares_.take(asker, 1);
    if (!room)
        return false;
    thread_.post([this, flow, then = std::move(then), room = std::move(room)]() mutable {
        if (stopping_)
            return;
        room.reset();
        const auto tracked = conntrack_.get(flow.reversed());
        const bool is_behind = tracked && tracked->translated && tracked->behind() == flow;
        then(is_behind ? std::optional(tracked->original) : std::nullopt);
    });
    return true;
}

// If the kernel can't tell, the flow counts as not sent.
bool SentFlows::was_sent(const Flow& flow) {
    return conntrack_.has_passed(flow).value_or(false) || sets_.find_sent(flow) == 0 ||
           lately_.has(flow);
}

} // namespace ubf
