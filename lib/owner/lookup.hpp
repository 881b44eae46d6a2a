// Whose socket is it: the owner, by uid, of either end of a flow that is on this node.
#pragma once

#include "base/result.hpp"
#include "flow/flow.hpp"
#include "netlink/sock_diag.hpp"
#include "owner/owner.hpp"
#include "owner/virtual_services.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace ubf {

struct SocketOwner {
    Owner owner;       // of kind user or kernel
    SocketInfo socket; // none of a service of IPVS, which is the kernel's (virtual_services.hpp)
    // The same user's other sockets of which each may be the one that it is about. What holds for
    // the socket must hold for them.
    std::vector<SocketInfo> sharing{};
    // Of a TCP listener: the state of the socket that the kernel made of an earlier SYN of this
    // very flow, before anybody has accepted it; 0 where there is none (net/tcp_states.h).
    std::uint8_t begun = 0;

    bool is_virtual_service() const {
        return owner.kind == OwnerKind::kernel && socket.cookie == Cookie{};
    }
};

enum class LookupError : std::uint8_t {
    none,      // no such socket
    ambiguous, // sockets of different users fit, or too many; nothing tells which one it was
    failed,    // the kernel would not say
};

class OwnerLookup {
  public:
    using Found = Result<SocketOwner, LookupError>;

    // Which ends of a flow to find; interface: where the packet came in.
    struct Wanted {
        Flow flow{};
        std::uint32_t interface = 0;
        bool receiver = true;
        bool sender = false;
    };
    struct Ends {
        Found receiver = fail(LookupError::none);
        Found sender = fail(LookupError::none);
    };
    // The ends of many flows, in few system calls: of each what receiver() and sender() find.
    void find(std::span<const Wanted> wanted, std::vector<Ends>& ends);

    // The socket that will get the packet, and of UDP who shares its port. interface: where the
    // packet came in.
    Found receiver(const Flow& flow, std::uint32_t interface);
    // The TCP listener there, whatever connections it has.
    Found listener(const Endpoint& place, std::uint32_t interface);
    // The socket that sent the packet, and of UDP who shares its port. interface: where it (or the
    // question about it) came in.
    Found sender(const Flow& flow, std::uint32_t interface);

    // Adds the other TCP listeners to which the kernel might deliver the SYN instead. Nothing where
    // all are the same user's; otherwise nobody knows whose it is. Costs more than a lookup, so it
    // is for where the uid doesn't decide.
    std::optional<LookupError> add_sharing(SocketOwner& listener, const Flow& flow,
                                           std::uint32_t interface);

    // Whether the kernel still names this socket for the packet; whether it names any as its
    // sender. For the cost of a lookup, whoever shares the port.
    bool is_receiver(Cookie socket, const Flow& flow, std::uint32_t interface);
    bool has_sender(const Flow& flow, std::uint32_t interface);

  private:
    Found named_receiver(const Flow& flow, std::uint32_t interface);
    Found named_sender(const Flow& flow, std::uint32_t interface);
    void add_sharing(std::span<const Wanted> wanted, std::span<Ends> ends);
    int list(Protocol protocol, std::span<const Port> ports, bool v4);
    Found as_receiver(const Flow& flow, std::uint32_t interface, const SockDiag::Found& socket);
    Found socket_for(const Flow& flow, std::uint32_t interface, const SockDiag::Found& socket);
    Found as_sender(const Flow& flow, std::uint32_t interface, const SockDiag::Found& socket);
    const std::vector<std::uint32_t>& interfaces();

    SockDiag diag_;
    VirtualServices virtual_services_;
    std::vector<SocketQuery> queries_; // kept for their room
    std::vector<SockDiag::Found> sockets_;
    std::vector<Port> ports_;
    std::vector<BoundSocket> listed_;
    std::vector<std::uint32_t> interfaces_;
    std::chrono::steady_clock::time_point interfaces_read_{};
};

} // namespace ubf
