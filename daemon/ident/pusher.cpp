#include "daemon/ident/pusher.hpp"

#include "daemon/core/thread.hpp"
#include "flow/packet.hpp"

#include <algorithm>
#include <array>
#include <linux/capability.h>
#include <system_error>

namespace ubf::ident {

Pusher::Pusher(std::uint16_t group, const Socket& socket, std::shared_ptr<const Terms> terms,
               Counters& counters)
  : group_(group)
  , socket_(socket)
  , counters_(counters)
  , terms_(std::move(terms)) {
    PacketLog{group}; // finds out whether it can be had
    loop_.watch(mailbox_.fd(), [this] { mailbox_.run(); });
    thread_ = std::thread([this] { run(); });
}

Pusher::~Pusher() {
    mailbox_.post([this] { stopping_ = true; });
    thread_.join();
}

void Pusher::set_terms(std::shared_ptr<const Terms> terms) {
    mailbox_.post([this, terms = std::move(terms)] { terms_ = terms; });
}

void Pusher::heed(Wish wish, const Path& path, std::uint32_t interface) {
    if (wish == Wish::as_before)
        return;
    const Ends ends{path.to.address, path.from.address};
    const std::lock_guard lock(mutex_);
    const auto known = wishes_.find(ends);
    if (wish != Wish::told) {
        if (known == wishes_.end())
            return;
        wishes_.erase(known);
        mailbox_.post([this, ends] { uninvite(ends); });
        return;
    }
    const auto now = Clock::now();
    if (known != wishes_.end() && now - known->second < renewed_after)
        return;
    if (wishes_.size() >= most)
        std::erase_if(wishes_, [&](const auto& old) { return now - old.second > invited_for; });
    if (wishes_.size() >= most)
        return;
    wishes_[ends] = now;
    mailbox_.post([this, ends, interface] { invite(ends, interface); });
}

void Pusher::run() {
    enter_thread("push", {CAP_NET_ADMIN}); // to bind the group
    while (!stopping_) {
        const auto latest = Clock::now() + Heartbeat::period;
        loop_.run_once(log_ ? std::min(next_look_, latest) : latest);
        const auto now = Clock::now();
        heartbeat_.beat(now);
        if (now >= next_look_)
            follow_invitations(now);
    }
}

void Pusher::invite(const Ends& ends, std::uint32_t interface) {
    invitations_.insert_or_assign(ends, Invitation{Clock::now() + invited_for, interface});
    next_look_ = {};
}

void Pusher::uninvite(const Ends& ends) {
    invitations_.erase(ends);
    next_look_ = {};
}

// The kernel is listened to while somebody is invited: what nobody hears costs it next to nothing.
void Pusher::follow_invitations(TimePoint now) {
    next_look_ = now + invited_for;
    std::erase_if(invitations_, [&](const auto& entry) { return entry.second.until <= now; });
    if (invitations_.empty() == !log_)
        return;
    if (log_) {
        loop_.forget(log_->fd());
        log_.reset();
        return;
    }
    try {
        log_.emplace(group_);
        loop_.watch(log_->fd(), [this] { receive(); });
    } catch (const std::system_error&) { // another program came between; the peers go on asking
        log_.reset();
        invitations_.clear();
        counters_.pushes_unheard.add();
    }
}

void Pusher::receive() {
    log_->receive([this](const LoggedPacket& packet) { add(packet); });
    for (auto* entry : unsent_)
        send(entry->first, entry->second);
    unsent_.clear();
}

void Pusher::add(const LoggedPacket& packet) {
    // Root can make a socket somebody else's (fchown), which only an exact lookup knows.
    if (!packet.uid || *packet.uid == Uid{0})
        return;
    const auto syn = parse_packet(packet.bytes);
    if (!syn || syn->flow.protocol != Protocol::tcp)
        return;
    const auto path = terms_->path(syn->flow.source.address, syn->flow.destination.address);
    const auto found = invitations_.find({path.from.address, path.to.address});
    if (found == invitations_.end())
        return;
    // Such an address is another peer's on another link.
    if (path.to.address.is_link_local() && found->second.interface != packet.interface)
        return;
    auto& unsent = found->second.unsent;
    if (unsent.empty())
        unsent_.push_back(&*found);
    unsent.push_back({syn->flow, syn->sequence, *packet.uid});
}

void Pusher::send(const Ends& ends, Invitation& invitation) {
    const Path path{{ends.first, terms_->port}, {ends.second, terms_->port}};
    counters_.pushes_sent.add(invitation.unsent.size());
    Datagram datagram{Channel::pushes, Channel::service, wall_clock(),
                      std::move(invitation.unsent)};
    auto& pushed = std::get<std::vector<Pushed>>(datagram.entries);
    std::array<std::uint8_t, max_datagram> buffer;
    for (std::size_t first = 0; first < pushed.size();) {
        const auto bytes = encode(buffer, datagram, first, path, terms_->keys.current);
        // What can't be sent is asked for.
        if (is_want_of_room(socket_.send(path, invitation.interface, bytes)))
            counters_.not_sent.add();
    }
    pushed.clear();
    invitation.unsent = std::move(pushed); // for its room
}

} // namespace ubf::ident
