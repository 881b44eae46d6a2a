#include "daemon/ident/pusher.hpp"

#include "flow/packet.hpp"

#include <array>

namespace ubf::ident {

void Pusher::invite(const Path& path, std::uint32_t interface, TimePoint now) {
    const Ends ends{path.to.address, path.from.address};
    if (invitations_.size() >= most && !invitations_.contains(ends))
        std::erase_if(invitations_, [&](const auto& entry) { return entry.second.until <= now; });
    if (invitations_.size() < most || invitations_.contains(ends))
        invitations_.insert_or_assign(ends, Invitation{now + invited_for, interface});
}

void Pusher::uninvite(const Path& path) {
    invitations_.erase({path.to.address, path.from.address});
}

void Pusher::skip() {
    while (log_.receive([](const LoggedPacket&) {})) {
    }
}

void Pusher::receive(const Terms& terms) {
    const auto now = Clock::now();
    log_.receive([&](const LoggedPacket& packet) { add(packet, terms, now); });
    for (auto* entry : unsent_)
        send(entry->first, entry->second, terms);
    unsent_.clear();
}

void Pusher::add(const LoggedPacket& packet, const Terms& terms, TimePoint now) {
    // Root can make a socket somebody else's (fchown), which only an exact lookup knows.
    if (!packet.uid || *packet.uid == Uid{0})
        return;
    const auto syn = parse_packet(packet.bytes);
    if (!syn || syn->flow.protocol != Protocol::tcp)
        return;
    const auto path = terms.path(syn->flow.source.address, syn->flow.destination.address);
    const auto found = invitations_.find({path.from.address, path.to.address});
    if (found == invitations_.end())
        return;
    // Such an address is another peer's on another link.
    if (path.to.address.is_link_local() && found->second.interface != packet.interface)
        return;
    if (found->second.until <= now) {
        invitations_.erase(found);
        return;
    }
    auto& unsent = found->second.unsent;
    if (unsent.empty())
        unsent_.push_back(&*found);
    unsent.push_back({syn->flow, syn->sequence, *packet.uid});
}

void Pusher::send(const Ends& ends, Invitation& invitation, const Terms& terms) {
    const Path path{{ends.first, terms.port}, {ends.second, terms.port}};
    counters_.pushes_sent.add(invitation.unsent.size());
    Datagram datagram{Channel::pushes, Channel::service, wall_clock(),
                      std::move(invitation.unsent)};
    auto& pushed = std::get<std::vector<Pushed>>(datagram.entries);
    std::array<std::uint8_t, max_datagram> buffer;
    for (std::size_t first = 0; first < pushed.size();) {
        const auto bytes = encode(buffer, datagram, first, path, terms.keys.current);
        // What can't be sent is asked for.
        static_cast<void>(socket_.send(path, invitation.interface, bytes));
    }
    pushed.clear();
    invitation.unsent = std::move(pushed); // for its room
}

} // namespace ubf::ident
