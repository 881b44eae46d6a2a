// Finds the owner, by uid, of either end of a flow, if the end is on this node.
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
    SocketInfo socket; // empty for an IPVS service, which is the kernel's (virtual_services.hpp)
    // The same user's other sockets, each of which may be the flow's end instead. Every condition
    // on the socket must hold for them too.
    std::vector<SocketInfo> sharing{};
    // For a TCP listener: the state of the kernel's socket for an earlier SYN of this very flow,
    // before accept(); 0 if there is none (net/tcp_states.h).
    std::uint8_t begun = 0;

    bool is_virtual_service() const {
        return owner.kind == OwnerKind::kernel && socket.cookie == Cookie{};
    }
};

enum class LookupError : std::uint8_t {
    none,      // no such socket
    ambiguous, // sockets of different users fit, or too many sockets
    failed,    // the kernel returned another error
};

class OwnerLookup {
  public:
    using Found = Result<SocketOwner, LookupError>;

    // The ends of a flow to find. interface: where the packet came in.
    struct Wanted {
        Flow flow{};
        std::uint32_t interface = 0;
        bool receiver = true;
        bool sender = false;
        bool answer = false; // to what the receiver's node has sent
    };
    struct Ends {
        Found receiver = fail(LookupError::none);
        Found sender = fail(LookupError::none);
    };
    // Finds the ends of many flows in few system calls, as receiver() and sender() do for one.
    void find(std::span<const Wanted> wanted, std::vector<Ends>& ends);

    // The socket that will get the packet and, for UDP, those that share its port. interface: where
    // the packet came in.
    Found receiver(const Flow& flow, std::uint32_t interface);
    // The TCP listener there, whatever connections it has.
    Found listener(const Endpoint& place, std::uint32_t interface);
    // The socket that sent the packet and, for UDP, those that share its port. interface: where the
    // packet (or the question about it) came in.
    Found sender(const Flow& flow, std::uint32_t interface);

    // Adds the other TCP listeners to which the kernel might deliver the SYN instead. Returns
    // nothing if all belong to one user; otherwise the owner is unknown. Costs more than a lookup,
    // so call it only if the uid doesn't decide.
    std::optional<LookupError> add_sharing(SocketOwner& listener, const Flow& flow,
                                           std::uint32_t interface);

    // Whether the kernel still names this socket as the receiver, or any socket as the sender. Each
    // costs one lookup, and ignores other sockets of the port.
    bool is_receiver(Cookie socket, const Flow& flow, std::uint32_t interface);
    bool has_sender(const Flow& flow, std::uint32_t interface);

  private:
    Found named_receiver(const Flow& flow, std::uint32_t interface);
    Found named_sender(const Flow& flow, std::uint32_t interface);
    void add_sharing(std::span<const Wanted> wanted, std::span<Ends> ends);
    int list(Protocol protocol, std::span<const Port> ports, bool v4);
    void find_crowded();
    Found as_receiver(const Flow& flow, std::uint32_t interface, const SockDiag::Found& socket);
    Found socket_for(const Flow& flow, std::uint32_t interface, const SockDiag::Found& socket);
    Found as_sender(const Flow& flow, std::uint32_t interface, const SockDiag::Found& socket);
    const std::vector<std::uint32_t>& interfaces();

    SockDiag diag_;
    VirtualServices virtual_services_;
    std::vector<SocketQuery> queries_; // kept for their capacity
    std::vector<SockDiag::Found> sockets_;
    std::vector<Port> ports_;
    std::vector<BoundSocket> listed_;
    std::vector<Port> crowded_; // of these, not all sockets are listed
    std::vector<std::uint32_t> interfaces_;
    std::chrono::steady_clock::time_point interfaces_read_{};
};

} // namespace ubf
