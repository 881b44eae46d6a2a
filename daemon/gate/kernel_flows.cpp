#include "daemon/gate/kernel_flows.hpp"

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

KernelFlows::State KernelFlows::state(const AllowedFlow& allowed) {
    if (allowed.is_udp())
        return udp_flows_.in_use(allowed.flow, allowed.lease) ? State::there : State::over;
    const auto found = connection(allowed);
    if (found)
        return State::there;
    return found.error() == ENOENT ? State::over : State::not_known;
}

int KernelFlows::end(const AllowedFlow& allowed) {
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
Result<SocketInfo, int> KernelFlows::connection(const AllowedFlow& allowed) {
    const auto& flow = allowed.flow;
    auto found = sockets_.find({flow.protocol, flow.destination, flow.source, allowed.interface});
    if (found && (found->state == TCP_LISTEN || is_remains(*found)))
        return fail(int{ENOENT});
    return found;
}

} // namespace ubf
