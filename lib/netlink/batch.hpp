// Receives many datagrams of a netlink socket in one system call.
#pragma once

#include "netlink/message.hpp"

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <sys/socket.h>

namespace ubf::netlink {

// Room for `count` datagrams of `size` bytes each.
template<std::size_t count, std::size_t size>
class Batch {
  public:
    Batch()
      : room_(std::make_unique<Room>()) {
        for (std::size_t i = 0; i < count; ++i)
            prepare(i);
    }

    // Receives at most `most` waiting datagrams, and calls `each` for those from the kernel. Their
    // bytes are valid until the next call. Returns the number of datagrams, including those of
    // other senders, or a negative errno.
    template<typename Each>
    int receive(int fd, std::size_t most, Each&& each) {
        const int received = ::recvmmsg(fd, room_->messages.data(), static_cast<unsigned>(most),
                                        MSG_DONTWAIT, nullptr);
        if (received < 0)
            return -errno;
        for (std::size_t i = 0; i < static_cast<std::size_t>(received); ++i) {
            const bool from_kernel = room_->senders[i].nl_pid == 0;
            const std::size_t length = room_->messages[i].msg_len;
            prepare(i); // the kernel has changed it
            if (from_kernel)
                each(Bytes(room_->buffers[i].data(), length));
        }
        return received;
    }

  private:
    struct Room {
        std::array<mmsghdr, count> messages;
        std::array<iovec, count> parts;
        std::array<sockaddr_nl, count> senders;
        alignas(nlmsghdr) std::array<std::array<std::uint8_t, size>, count> buffers;
    };
    static_assert(size % alignof(nlmsghdr) == 0);

    void prepare(std::size_t i) {
        room_->parts[i] = {room_->buffers[i].data(), size};
        auto& header = room_->messages[i].msg_hdr;
        header = {};
        header.msg_name = &room_->senders[i];
        header.msg_namelen = sizeof room_->senders[i];
        header.msg_iov = &room_->parts[i];
        header.msg_iovlen = 1;
    }

    std::unique_ptr<Room> room_;
};

} // namespace ubf::netlink
