#include "owner/lookup.hpp"

#include "owner/sharing.hpp"

#include <algorithm>
#include <cerrno>
#include <net/if.h>
#include <netinet/tcp.h>
#include <optional>
#include <unordered_map>

namespace ubf {
namespace {

LookupError to_error(int error) {
    return error == ENOENT ? LookupError::none : LookupError::failed;
}

// Some of the kernel's sockets have no file, and are recognised by this. Others have a file: only a
// search shows that no process holds them. Orphans and connections before accept() have no file
// either, but they neither listen nor open a connection.
bool is_kernels(Protocol protocol, const SocketInfo& socket) {
    return socket.inode == 0 && socket.uid == Uid{0} &&
           (protocol == Protocol::udp || socket.state == TCP_LISTEN ||
            socket.state == TCP_SYN_SENT);
}

std::optional<SocketOwner> owner_of(Protocol protocol, const SocketInfo& socket) {
    if (socket.inode != 0)
        return SocketOwner{Owner::user(socket.uid), socket};
    if (is_kernels(protocol, socket))
        return SocketOwner{Owner::kernel(), socket};
    return std::nullopt;
}

// For TCP, only a socket that can have sent the SYN counts. A listener has the port but never
// connects, and TIME_WAIT comes after the SYN.
bool can_have_sent(Protocol protocol, const SocketInfo& socket) {
    return protocol != Protocol::tcp ||
           (socket.state != TCP_LISTEN && socket.state != TCP_TIME_WAIT);
}

// Root can send in any user's name without holding the port, so its socket at another address
// proves nothing.
bool may_have_sent(const BoundSocket& socket, const Flow& flow, std::uint32_t interface) {
    return could_send(socket, flow, interface) &&
           (socket.socket.uid != Uid{0} || could_receive(socket, flow.reversed(), interface));
}

LookupError to_sharing_error(int error) {
    return error == EMFILE ? LookupError::ambiguous : LookupError::failed;
}

// Adds the fitting sockets of `listed` to `found`. False if they don't all belong to one user.
template<typename Fits>
bool add_those(SocketOwner& found, const std::vector<BoundSocket>& listed, Fits&& fits) {
    found.sharing.clear();
    for (const auto& other : listed) {
        if (other.socket.cookie == found.socket.cookie || !fits(other))
            continue;
        if (other.socket.uid != found.socket.uid)
            return false;
        found.sharing.push_back(other.socket);
    }
    return true;
}

} // namespace

void OwnerLookup::find(std::span<const Wanted> wanted, std::vector<Ends>& ends) {
    queries_.clear();
    for (const auto& [flow, interface, receiver, sender, answer] : wanted) {
        if (receiver)
            queries_.push_back({flow.protocol, flow.destination, flow.source, interface});
        if (sender)
            queries_.push_back({flow.protocol, flow.source, flow.destination, interface});
    }
    sockets_.resize(queries_.size());
    diag_.find(queries_, sockets_);

    ends.assign(wanted.size(), {});
    auto next = sockets_.cbegin();
    for (std::size_t i = 0; i < wanted.size(); ++i) {
        const auto& [flow, interface, receiver, sender, answer] = wanted[i];
        if (receiver)
            ends[i].receiver = as_receiver(flow, interface, *next++);
        if (sender)
            ends[i].sender = as_sender(flow, interface, *next++);
    }
    add_sharing(wanted, ends);
}

// An exact lookup names the UDP socket that ranks first. Other sockets of the port may still get
// the packet, or have sent it. Only a dump shows them: one dump serves all wanted flows.
void OwnerLookup::add_sharing(std::span<const Wanted> wanted, std::span<Ends> ends) {
    ports_.clear();
    bool v4 = false;
    for (std::size_t i = 0; i < wanted.size(); ++i) {
        const auto& flow = wanted[i].flow;
        if (flow.protocol != Protocol::udp)
            continue;
        if (ends[i].receiver)
            ports_.push_back(flow.destination.port);
        if (ends[i].sender)
            ports_.push_back(flow.source.port);
        v4 |= flow.source.address.is_v4();
    }
    if (ports_.empty())
        return;
    std::ranges::sort(ports_);
    ports_.erase(std::unique(ports_.begin(), ports_.end()), ports_.end());
    const int error = list(Protocol::udp, ports_, v4);
    find_crowded();
    for (std::size_t i = 0; i < wanted.size(); ++i) {
        const Flow& flow = wanted[i].flow;
        const std::uint32_t interface = wanted[i].interface;
        if (flow.protocol != Protocol::udp)
            continue;
        auto& receiver = ends[i].receiver;
        auto& sender = ends[i].sender;
        const auto fail_if_unlisted = [&](Found& end, Port port) {
            if (end && error != 0)
                end = fail(to_sharing_error(error));
            else if (end && std::ranges::find(crowded_, port) != crowded_.end())
                end = fail(LookupError::ambiguous);
        };
        fail_if_unlisted(receiver, flow.destination.port);
        fail_if_unlisted(sender, flow.source.port);
        const auto is_named = [&](const BoundSocket& other) {
            return receiver && other.socket.cookie == receiver->socket.cookie;
        };
        const auto named = std::ranges::find_if(listed_, is_named);
        const bool ranks_first = named != listed_.end() && is_connected_to(*named, flow.source);
        if (receiver && !add_those(*receiver, listed_, [&](const BoundSocket& other) {
                if (ranks_first)
                    return is_connected_to(other, flow.source) &&
                           could_receive(other, flow, interface);
                return could_receive(other, flow, interface) ||
                       (wanted[i].answer && may_have_sent(other, flow.reversed(), interface));
            }))
            receiver = fail(LookupError::ambiguous);
        if (sender && !add_those(*sender, listed_, [&](const BoundSocket& other) {
                return may_have_sent(other, flow, interface);
            }))
            sender = fail(LookupError::ambiguous);
    }
}

std::optional<LookupError> OwnerLookup::add_sharing(SocketOwner& listener, const Flow& flow,
                                                    std::uint32_t interface) {
    const Port port = flow.destination.port;
    if (const int error = list(Protocol::tcp, {&port, 1}, flow.destination.address.is_v4());
        error != 0)
        return to_sharing_error(error);
    if (!add_those(listener, listed_,
                   [&](const BoundSocket& other) { return could_receive(other, flow, interface); }))
        return LookupError::ambiguous;
    return std::nullopt;
}

// Fills listed_. Sockets of IPv6 may carry IPv4 too, but not the other way round. 0, or an errno.
int OwnerLookup::list(Protocol protocol, std::span<const Port> ports, bool v4) {
    listed_.clear();
    const int error = diag_.list(protocol, true, ports, listed_);
    return error == 0 && v4 ? diag_.list(protocol, false, ports, listed_) : error;
}

// A crowded port must not fail the flows of other ports, nor cost them a list of their own.
void OwnerLookup::find_crowded() {
    crowded_.clear();
    if (listed_.size() <= SockDiag::most_listed)
        return;
    std::unordered_map<Port, std::size_t> sockets;
    for (const auto& each : listed_)
        if (++sockets[each.local.port] == SockDiag::most_listed + 1)
            crowded_.push_back(each.local.port);
}

OwnerLookup::Found OwnerLookup::receiver(const Flow& flow, std::uint32_t interface) {
    std::vector<Ends> ends;
    const Wanted wanted{flow, interface, true, false};
    find({&wanted, 1}, ends);
    return std::move(ends.front().receiver);
}

bool OwnerLookup::is_receiver(Cookie socket, const Flow& flow, std::uint32_t interface) {
    const auto found = named_receiver(flow, interface);
    return found && found->socket.cookie == socket;
}

bool OwnerLookup::has_sender(const Flow& flow, std::uint32_t interface) {
    const auto found = named_sender(flow, interface);
    return found || found.error() == LookupError::ambiguous;
}

OwnerLookup::Found OwnerLookup::named_receiver(const Flow& flow, std::uint32_t interface) {
    return as_receiver(flow, interface,
                       diag_.find({flow.protocol, flow.destination, flow.source, interface}));
}

OwnerLookup::Found OwnerLookup::as_receiver(const Flow& flow, std::uint32_t interface,
                                            const SockDiag::Found& socket) {
    auto found = socket_for(flow, interface, socket);
    if (!found && found.error() == LookupError::none &&
        virtual_services_.any_at(flow.protocol, flow.destination))
        return SocketOwner{Owner::kernel(), {}};
    return found;
}

OwnerLookup::Found OwnerLookup::socket_for(const Flow& flow, std::uint32_t interface,
                                           const SockDiag::Found& socket) {
    if (!socket)
        return fail(to_error(socket.error()));
    if (auto owner = owner_of(flow.protocol, *socket))
        return *owner;
    if (flow.protocol == Protocol::udp)
        return fail(LookupError::none);

    // A TIME_WAIT, a half-open request or a connection that waits for accept() hides the listener
    // and carries no uid. Behind it, the SYN would reach the listener.
    auto found = listener(flow.destination, interface);
    if (found)
        found->begun = socket->state;
    return found;
}

OwnerLookup::Found OwnerLookup::listener(const Endpoint& place, std::uint32_t interface) {
    const Endpoint anybody{place.address.is_v4() ? *Address::parse("0.0.0.0") : Address{}, 0};
    const auto socket = diag_.find({Protocol::tcp, place, anybody, interface});
    if (!socket)
        return fail(to_error(socket.error()));
    if (auto owner = owner_of(Protocol::tcp, *socket))
        return *owner;
    return fail(LookupError::none);
}

OwnerLookup::Found OwnerLookup::sender(const Flow& flow, std::uint32_t interface) {
    std::vector<Ends> ends;
    const Wanted wanted{flow, interface, false, true};
    find({&wanted, 1}, ends);
    return std::move(ends.front().sender);
}

OwnerLookup::Found OwnerLookup::named_sender(const Flow& flow, std::uint32_t interface) {
    return as_sender(flow, interface,
                     diag_.find({flow.protocol, flow.source, flow.destination, interface}));
}

// The kernel finds a socket that is bound to the interface or to none, but not always both. If both
// exist, they share a 4-tuple, and nothing tells which one sent the packet.
OwnerLookup::Found OwnerLookup::as_sender(const Flow& flow, std::uint32_t interface,
                                          const SockDiag::Found& socket) {
    std::optional<SocketInfo> found;
    int error = ENOENT;
    bool ambiguous = false;
    const auto consider = [&](const SockDiag::Found& candidate) {
        if (!candidate) {
            if (candidate.error() != ENOENT)
                error = candidate.error();
            return;
        }
        if (!can_have_sent(flow.protocol, *candidate))
            return;
        ambiguous |= found && found->cookie != candidate->cookie && found->uid != candidate->uid;
        found = *candidate;
    };
    const auto consider_bound_to = [&](std::uint32_t index) {
        consider(diag_.find({flow.protocol, flow.source, flow.destination, index}));
    };

    consider(socket);
    if (interface != 0 && (!found || found->interface != 0))
        consider_bound_to(0);
    if (!found) {
        for (const auto index : interfaces())
            if (index != interface)
                consider_bound_to(index);
    }
    if (ambiguous)
        return fail(LookupError::ambiguous);
    if (!found)
        return fail(to_error(error));
    if (auto owner = owner_of(flow.protocol, *found))
        return *owner;
    return fail(LookupError::none);
}

// Read again at most once a second: a node has few interfaces, and they rarely change.
const std::vector<std::uint32_t>& OwnerLookup::interfaces() {
    const auto now = std::chrono::steady_clock::now();
    if (!interfaces_.empty() && now - interfaces_read_ < std::chrono::seconds(1))
        return interfaces_;
    interfaces_read_ = now;
    interfaces_.clear();
    constexpr std::size_t most = 64;
    if (auto* list = ::if_nameindex()) {
        for (auto* entry = list; entry->if_index != 0 && interfaces_.size() < most; ++entry)
            interfaces_.push_back(entry->if_index);
        ::if_freenameindex(list);
    }
    return interfaces_;
}

} // namespace ubf
