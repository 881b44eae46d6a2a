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

bool SentFlows::has_room(std::size_t count) {
    if (waiting_.fetch_add(count) < most_waiting)
        return true;
    waiting_.fetch_sub(count);
    return false;
}

bool SentFlows::find(std::vector<Flow> flows, Then then) {
    if (!has_room(flows.size()))
        return false;
    thread_.post([this, flows = std::move(flows), then = std::move(then)] {
        if (stopping_)
            return;
        std::vector<bool> sent;
        for (const auto& flow : flows)
            sent.push_back(was_sent(flow));
        waiting_.fetch_sub(flows.size());
        then(std::move(sent));
    });
    return true;
}

bool SentFlows::find_original(const Flow& flow, ThenOriginal then) {
    if (!has_room(1))
        return false;
    thread_.post([this, flow, then = std::move(then)] {
        if (stopping_)
            return;
        waiting_.fetch_sub(1);
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
