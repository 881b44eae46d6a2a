#include "daemon/gate/kept_verdicts.hpp"

#include "daemon/gate/exempt_listeners.hpp"

#include <cerrno>
#include <netinet/tcp.h>

namespace ubf {
namespace {

// Nobody can use it any more: it is over, or closed on our side, acknowledged (a minute of
// FIN_WAIT2 without a process).
bool is_remains(const SocketInfo& socket) {
    return socket.state == TCP_TIME_WAIT || socket.state == TCP_CLOSE ||
           (socket.state == TCP_FIN_WAIT2 && socket.inode == 0);
}

} // namespace

std::optional<UdpFlows::Lease> KernelVerdicts::allow(const Flow& flow, Keeper keeper,
                                                     const UdpFlows::Ends& ends) {
    return udp_flows_.allow(flow, keeper, ends);
}

std::optional<UdpFlows::Lease> KernelVerdicts::deny(const Flow& flow, const Owner& source,
                                                    const UdpFlows::Ends& ends) {
    return udp_flows_.deny(flow, source.kind, source.account(), ends);
}

bool KernelVerdicts::confirm(const Flow& flow, Keeper keeper, Lease lease) {
    return udp_flows_.confirm(flow, keeper, lease);
}

int KernelVerdicts::write_allowed(nft::Network network, std::span<const Flow> flows) {
    return sets_.allow(network, flows);
}

int KernelVerdicts::write_renewed(nft::Network network, std::span<const Flow> flows) {
    return sets_.renew(network, flows);
}

int KernelVerdicts::write_denied(std::span<const Flow> flows) {
    return sets_.deny(flows, UdpFlows::denied_for);
}

KernelVerdicts::State KernelVerdicts::state(const AllowedFlow& allowed) {
    if (allowed.is_udp())
        return udp_flows_.in_use(allowed.flow, allowed.lease) ? State::there : State::over;
    const auto found = connection(allowed);
    if (found)
        return State::there;
    return found.error() == ENOENT ? State::over : State::not_known;
}

int KernelVerdicts::end(const AllowedFlow& allowed) {
    if (allowed.is_udp()) {
        if (!udp_flows_.in_use(allowed.flow, allowed.lease))
            return ENOENT;
        return udp_flows_.end(allowed.flow, allowed.lease);
    }
    const auto found = connection(allowed);
    if (!found)
        return found.error();
    return sockets_.destroy(Protocol::tcp, allowed.flow.destination, allowed.flow.source,
                            allowed.interface, found->cookie);
}

// If the connection is over, the kernel names its listener, or its TIME_WAIT remains. Neither is
// the connection, and neither may be ended.
Result<SocketInfo, int> KernelVerdicts::connection(const AllowedFlow& allowed) {
    const auto& flow = allowed.flow;
    auto found = sockets_.find({flow.protocol, flow.destination, flow.source, allowed.interface});
    if (found && (found->state == TCP_LISTEN || is_remains(*found)))
        return fail(int{ENOENT});
    return found;
}

void KernelVerdicts::exempt(const nft::ListenerKey& place, Cookie listener, Uid holder) {
    exempt_listeners_.add(place, listener, holder);
}

void KernelVerdicts::forget_policy() {
    exempt_listeners_.forget_all();
    udp_flows_.forget_denied();
}

} // namespace ubf
