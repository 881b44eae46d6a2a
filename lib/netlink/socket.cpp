#include "netlink/socket.hpp"

#include <array>
#include <cerrno>
#include <cstring>
#include <linux/netlink.h>
#include <sys/socket.h>
#include <system_error>

namespace ubf {

NetlinkSocket::NetlinkSocket(int bus)
  : fd_(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, bus)) {
    if (!fd_)
        throw std::system_error(errno, std::generic_category(), "opening a netlink socket");
    sockaddr_nl address{};
    address.nl_family = AF_NETLINK;
    if (::bind(fd_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) < 0)
        throw std::system_error(errno, std::generic_category(), "binding a netlink socket");
}

std::uint32_t NetlinkSocket::port_id() const {
    sockaddr_nl address{};
    socklen_t size = sizeof address;
    if (::getsockname(fd_.get(), reinterpret_cast<sockaddr*>(&address), &size) < 0 ||
        address.nl_family != AF_NETLINK)
        return 0;
    return address.nl_pid;
}

void NetlinkSocket::set_receive_buffer(int bytes) {
    if (::setsockopt(fd_.get(), SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes) < 0)
        ::setsockopt(fd_.get(), SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
}

int NetlinkSocket::send(std::span<const std::uint8_t> message) {
    sockaddr_nl kernel{};
    kernel.nl_family = AF_NETLINK;
    while (true) {
        const auto sent = ::sendto(fd_.get(), message.data(), message.size(), 0,
                                   reinterpret_cast<sockaddr*>(&kernel), sizeof kernel);
        if (sent >= 0)
            return 0;
        if (errno != EINTR)
            return errno;
    }
}

Result<std::size_t, int> NetlinkSocket::receive(std::span<std::uint8_t> buffer, int flags) {
    while (true) {
        sockaddr_nl sender{};
        iovec part{buffer.data(), buffer.size()};
        msghdr message{};
        message.msg_name = &sender;
        message.msg_namelen = sizeof sender;
        message.msg_iov = &part;
        message.msg_iovlen = 1;
        const auto length = ::recvmsg(fd_.get(), &message, flags);
        if (length < 0) {
            if (errno == EINTR)
                continue;
            return fail(int{errno});
        }
        if (sender.nl_pid != 0)
            continue;
        if ((message.msg_flags & MSG_TRUNC) != 0)
            return fail(int{EMSGSIZE});
        return static_cast<std::size_t>(length);
    }
}

int NetlinkSocket::receive_acknowledgement(std::uint32_t sequence, const Other& other) {
    while (true) {
        alignas(nlmsghdr) std::array<std::uint8_t, 4096> answer;
        const auto length = receive(answer, MSG_DONTWAIT);
        if (!length)
            return length.error();
        nlmsghdr reply{};
        nlmsgerr error{};
        if (*length < sizeof reply + sizeof error)
            return EBADMSG;
        std::memcpy(&reply, answer.data(), sizeof reply);
        std::memcpy(&error, answer.data() + sizeof reply, sizeof error);
        if (reply.nlmsg_seq == sequence && reply.nlmsg_type == NLMSG_ERROR)
            return -error.error; // 0: it is done
        if (other)
            other(std::span(answer).first(*length));
    }
}

} // namespace ubf
