#include "netlink/destroy_notices.hpp"

#include <arpa/inet.h>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <iterator>
#include <linux/filter.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <sys/socket.h>
#include <system_error>

namespace ubf {
namespace {

std::array<int, 2> groups(DestroyNotices::Of sockets) {
    if (sockets == DestroyNotices::Of::udp)
        return {SKNLGRP_INET_UDP_DESTROY, SKNLGRP_INET6_UDP_DESTROY};
    return {SKNLGRP_INET_TCP_DESTROY, SKNLGRP_INET6_TCP_DESTROY};
}

// Lets the kernel itself filter out sockets with a remote port.
void only_without_other_end(int fd) {
    constexpr std::uint32_t remote_port =
        sizeof(nlmsghdr) + offsetof(inet_diag_msg, id) + offsetof(inet_diag_sockid, idiag_dport);
    constexpr std::uint32_t all = ~0u;
    sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_H | BPF_ABS, remote_port),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, all),
        BPF_STMT(BPF_RET | BPF_K, 0),
    };
    const sock_fprog program{std::size(code), code};
    if (::setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) != 0)
        throw std::system_error(errno, std::generic_category(),
                                "filtering the notices of sockets that are gone");
}

} // namespace

DestroyNotices::DestroyNotices(Of sockets)
  : sockets_(sockets)
  , socket_(NETLINK_SOCK_DIAG) {
    socket_.set_receive_buffer(8 << 20);
    if (sockets == Of::tcp_listeners)
        only_without_other_end(socket_.fd());
}

int DestroyNotices::begin() {
    for (const int group : groups(sockets_))
        if (::setsockopt(socket_.fd(), SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group) !=
            0)
            return errno;
    begun_ = true;
    return 0;
}

void DestroyNotices::end() {
    for (const int group : groups(sockets_))
        ::setsockopt(socket_.fd(), SOL_NETLINK, NETLINK_DROP_MEMBERSHIP, &group, sizeof group);
    begun_ = false;
}

template<typename Each>
bool DestroyNotices::receive_each(Each each) {
    const int count = batch_.receive(socket_.fd(), most_at_a_time, [&](netlink::Bytes message) {
        nlmsghdr header{};
        inet_diag_msg socket{};
        if (message.size() < sizeof header + sizeof socket)
            return;
        std::memcpy(&header, message.data(), sizeof header);
        std::memcpy(&socket, message.data() + sizeof header, sizeof socket);
        if (header.nlmsg_type == SOCK_DIAG_BY_FAMILY)
            each(socket.id);
    });
    return count >= 0 || count == -EAGAIN || count == -EINTR;
}

bool DestroyNotices::receive(std::vector<Cookie>& gone) {
    return receive_each([&](const inet_diag_sockid& socket) {
        const auto* half = socket.idiag_cookie;
        gone.push_back(Cookie{std::uint64_t{half[1]} << 32 | half[0]});
    });
}

bool DestroyNotices::receive(std::vector<Port>& freed) {
    return receive_each(
        [&](const inet_diag_sockid& socket) { freed.push_back(ntohs(socket.idiag_sport)); });
}

} // namespace ubf
