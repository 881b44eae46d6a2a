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

// The payload of a message of this type that answers the request of that number. The error is an
// errno: ENOMSG for an answer to another request, EBADMSG for a malformed message, or the kernel's
// error.
Result<Bytes, int> answer(Bytes message, std::uint32_t sequence, std::uint16_t type);

// Receives until `parse` (of a message and that number) returns something other than ENOMSG. The
// kernel answers within sendto(), so this never waits. An older answer, left by a call that failed
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

// Calls `each` with every message that answers the dump of that number, until `each` returns an
// errno. Messages left from another dump are skipped. Returns 0 at the end of the dump, or an
// errno: that of `each`, EBADMSG for a malformed message, or that of the failed receive. flags: of
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
