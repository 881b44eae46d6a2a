// The part of the service about what ended: sockets that are gone, labels that were withdrawn, and
// flows that were refused.
#include "daemon/ident/service.hpp"

#include <utility>

namespace ubf::ident {

ToldFlows::StillThere Service::still_there() {
    return [this](const Flow& flow, const auto& told) {
        return sockets_.sender(flow, told.interface).has_value();
    };
}

void Service::withdraw(Uid uid) {
    thread_.post([this, uid] { tell(told_.withdrawn(uid, Clock::now(), still_there())); });
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
    const auto room = take_room(sender, gone.size());
    if (!room)
        return;
    for (const auto& entry : gone) {
        if (!terms_->came_between(sender.path, entry.flow.source.address,
                                  entry.flow.destination.address)) {
            shared_.counters.ident.rejections.add(Rejection::not_theirs);
            continue;
        }
        shared_.counters.ident.gone.received.add();
        if (entry.flow.protocol == Protocol::udp)
            shared_.udp_flows.forget(entry.flow);
        else if (on_.withdrawn && entry.flow.protocol == Protocol::tcp)
            on_.withdrawn(entry.flow, room);
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
    shared_.counters.flows.notices_lost.add();
    shared_.udp_flows.forget_all();
    tell(told_.all_gone(now));
}

void Service::tell(const std::vector<ToldFlows::Notice>& notices) {
    for (const auto& notice : notices) {
        shared_.counters.ident.gone.sent.add();
        send(Sender{notice.path.reversed(), notice.interface, Channel::service},
             std::vector<Gone>{notice.gone});
    }
}

void Service::tell(Refused refused) {
    thread_.post([this, refused = std::move(refused)] { send(refused, Clock::now()); });
}

// A datagram for each: none is repeated, and a flood of refusals makes no flood of these.
void Service::send(const Refused& refused, TimePoint now) {
    constexpr unsigned most_a_second = 100;
    const auto& connector = refused.flow.source.address;
    if (connector.is_link_local() || sockets_.interface_of(connector) ||
        !contains(terms_->peers, connector) || !firsts_.telling.add(now, most_a_second))
        return;
    shared_.counters.ident.refused.told.add();
    const auto path = terms_->path(refused.flow.destination.address, connector);
    send(Sender{path.reversed(), 0, Channel::service}, std::vector<Refused>{refused});
}

// A peer says that it refused a connector of ours.
void Service::handle(const std::vector<Refused>& refused, const Sender& sender) {
    for (const auto& entry : refused) {
        if (!terms_->came_between(sender.path, entry.flow.destination.address,
                                  entry.flow.source.address)) {
            shared_.counters.ident.rejections.add(Rejection::not_theirs);
            continue;
        }
        shared_.counters.ident.refused.heard.add();
        Denial denial;
        denial.flow = entry.flow;
        denial.reason = entry.reason;
        denial.ended = entry.ended;
        denial.observed = entry.observed;
        denial.told_by = sender.path.from.address;
        const auto owner = [&](const std::optional<Uid>& uid) {
            auto found = uid ? Owner::user(*uid) : Owner{};
            if (uid)
                found.credentials.emplace().groups = entry.common;
            return found;
        };
        denial.connector = owner(entry.connector);
        denial.listener = owner(entry.listener);
        if (denial.connector.credentials)
            denial.connector.credentials->process = entry.program;
        shared_.log.denial(std::move(denial));
    }
}

} // namespace ubf::ident
