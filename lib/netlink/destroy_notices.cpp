#include "netlink/destroy_notices.hpp"

#include <array>
#include <cerrno>
#include <cstring>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <sys/socket.h>

namespace ubf {
namespace {

constexpr std::uint32_t bit(int group) {
    return 1u << (group - 1);
}

} // namespace

DestroyNotices::DestroyNotices()
  : socket_(NETLINK_SOCK_DIAG, bit(SKNLGRP_INET_UDP_DESTROY) | bit(SKNLGRP_INET6_UDP_DESTROY)) {
    socket_.set_receive_buffer(8 << 20);
}

bool DestroyNotices::receive(const std::function<void(Cookie)>& gone) {
    alignas(nlmsghdr) std::array<std::uint8_t, 8192> buffer;
    while (true) {
        const auto length = socket_.receive(buffer, MSG_DONTWAIT);
        if (!length)
            return length.error() == EAGAIN;
        nlmsghdr header{};
        inet_diag_msg socket{};
        if (*length < sizeof header + sizeof socket)
            continue;
        std::memcpy(&header, buffer.data(), sizeof header);
        std::memcpy(&socket, buffer.data() + sizeof header, sizeof socket);
        if (header.nlmsg_type != SOCK_DIAG_BY_FAMILY)
            continue;
        const auto* half = socket.id.idiag_cookie;
        gone(Cookie{std::uint64_t{half[1]} << 32 | half[0]});
    }
}

} // namespace ubf
