#include "owner/lookup.hpp"

#include <cerrno>
#include <net/if.h>
#include <netinet/tcp.h>
#include <optional>

namespace ubf {
namespace {

LookupError to_error(int error) {
    return error == ENOENT ? LookupError::none : LookupError::failed;
}

// Some sockets of the kernel have no file; that others, which have one, are the kernel's shows only
// when no process holds them. Orphans and connections that nobody has accept()ed yet have no file
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

} // namespace

OwnerLookup::Found OwnerLookup::receiver(const Flow& flow, std::uint32_t interface) {
    const auto socket = diag_.find(flow.protocol, flow.destination, flow.source, interface);
    if (!socket)
        return fail(to_error(socket.error()));
    if (auto owner = owner_of(flow.protocol, *socket))
        return *owner;
    if (flow.protocol == Protocol::udp)
        return fail(LookupError::none);

    // A TIME_WAIT, a half-open request or a connection that waits for accept() stands in the way
    // and carries nobody's uid; what the SYN would reach behind it is the listener.
    return listener(flow.destination, interface);
}

OwnerLookup::Found OwnerLookup::listener(const Endpoint& place, std::uint32_t interface) {
    const Endpoint anybody{place.address.is_v4() ? *Address::parse("0.0.0.0") : Address{}, 0};
    const auto socket = diag_.find(Protocol::tcp, place, anybody, interface);
    if (!socket)
        return fail(to_error(socket.error()));
    if (auto owner = owner_of(Protocol::tcp, *socket))
        return *owner;
    return fail(LookupError::none);
}

// Of TCP only a socket that can have sent the SYN: a listener has its port but never connects, and
// a TIME_WAIT is past it.
Result<SocketInfo, int> OwnerLookup::opening(const Flow& flow, std::uint32_t interface) {
    auto socket = diag_.find(flow.protocol, flow.source, flow.destination, interface);
    if (socket && flow.protocol == Protocol::tcp &&
        (socket->state == TCP_LISTEN || socket->state == TCP_TIME_WAIT))
        return fail(int{ENOENT});
    return socket;
}

OwnerLookup::Found OwnerLookup::sender(const Flow& flow, std::uint32_t interface) {
    std::optional<SocketInfo> found;
    int error = ENOENT;
    bool ambiguous = false;
    const auto consider = [&](std::uint32_t index) {
        const auto socket = opening(flow, index);
        if (!socket) {
            if (socket.error() != ENOENT)
                error = socket.error();
            return;
        }
        // Sockets bound to an interface may share a 4-tuple with one that is not.
        ambiguous |= found && found->cookie != socket->cookie && found->uid != socket->uid;
        found = *socket;
    };

    consider(0);
    if (interface != 0)
        consider(interface);
    if (!found) {
        for (const auto index : interfaces())
            if (index != interface)
                consider(index);
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
