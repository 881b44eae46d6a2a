// The part of the service about what ended: sockets that are gone, and labels that were withdrawn.
#include "daemon/ident/service.hpp"

#include <utility>

namespace ubf::ident {

void Service::withdraw(Uid uid) {
    thread_.post([this, uid] { tell(told_.withdrawn(uid, Clock::now(), still_there_)); });
}

void Service::withdraw_all() {
    thread_.post([this] {
        for (const Uid uid : told_.labelled())
            withdraw(uid);
    });
}

// The peer's socket of a flow to us is gone. The peer is the flow's source, as in our question.
void Service::handle(const std::vector<Gone>& gone, const Sender& sender) {
    std::vector<GoneSeen> seen;
    for (const auto& entry : gone) {
        if (!terms_->came_between(sender.path, entry.flow.source.address,
                                  entry.flow.destination.address)) {
            shared_.counters.rejections.add(Rejection::not_theirs);
            continue;
        }
        shared_.counters.gone_received.add();
        if (entry.flow.protocol == Protocol::udp)
            shared_.udp_flows.forget(entry.flow);
        else if (withdrawn_ && entry.flow.protocol == Protocol::tcp)
            withdrawn_(entry.flow);
        seen.push_back({entry.nonce});
    }
    send(sender, std::move(seen));
}

void Service::handle(const std::vector<GoneSeen>& seen, const Sender& sender) {
    for (const auto& entry : seen)
        told_.seen(entry.nonce, sender.path);
}

void Service::notice_destroyed() {
    const auto now = Clock::now();
    gone_.clear();
    const bool complete = destroy_notices_.receive(gone_);
    shared_.udp_flows.forget(gone_);
    for (const Cookie cookie : gone_)
        tell(told_.gone(cookie, now));
    if (complete)
        return;
    shared_.counters.notices_lost.add();
    shared_.udp_flows.forget_all();
    tell(told_.all_gone(now));
}

void Service::tell(const std::vector<ToldFlows::Notice>& notices) {
    for (const auto& notice : notices) {
        shared_.counters.gone_sent.add();
        send(Sender{notice.path.reversed(), notice.interface, Channel::service},
             std::vector<Gone>{notice.gone});
    }
}

} // namespace ubf::ident
