// The kernel's answer to a request: one message, or those of a dump.
#pragma once

#include "base/result.hpp"
#include "netlink/message.hpp"
#include "netlink/socket.hpp"

#include <array>
#include <cerrno>
#include <cstdint>
#include <sys/socket.h>

namespace ubf::netlink {

// What is behind the header of a message of this type that answers the request of that number. The
// error is an errno: ENOMSG when it answers another request, EBADMSG when it doesn't fit the
// format, or what the kernel said.
Result<Bytes, int> answer(Bytes message, std::uint32_t sequence, std::uint16_t type);

// Receives until `parse` (of a message and that number) says something else than ENOMSG. The kernel
// answers within sendto(), so this never waits; an older answer, left by a call that failed
// half-way, is skipped.
template<typename Parse>
auto receive_answer(NetlinkSocket& socket, std::uint32_t sequence, Parse parse)
    -> decltype(parse(Bytes{}, sequence)) {
    alignas(nlmsghdr) std::array<std::uint8_t, 16384> buffer;
    while (true) {
        const auto length = socket.receive(buffer, MSG_DONTWAIT);
        if (!length)
            return fail(int{length.error()});
        auto found = parse(Bytes(buffer).first(*length), sequence);
        if (found || found.error() != ENOMSG)
            return found;
    }
}

// Hands each message that answers the dump of that number to `each`, which says 0, or an errno and
// is called no more; what is left of another dump is skipped. 0 at its end, or an errno: what
// `each` said, EBADMSG when it doesn't fit the format, or why nothing could be received. flags: of
// recv().
template<typename Each>
int receive_dump(NetlinkSocket& socket, std::uint32_t sequence, std::span<std::uint8_t> buffer,
                 int flags, Each each) {
    while (true) {
        const auto length = socket.receive(buffer, flags);
        if (!length)
            return length.error();
        Bytes rest = Bytes(buffer).first(*length);
        while (!rest.empty()) {
            const auto from = rest;
            const auto* header = next_message(rest);
            if (header == nullptr)
                return EBADMSG;
            if (header->nlmsg_seq != sequence)
                continue;
            if (header->nlmsg_type == NLMSG_DONE)
                return 0;
            if (const int error = each(from.first(header->nlmsg_len)); error != 0)
                return error;
        }
    }
}

} // namespace ubf::netlink
