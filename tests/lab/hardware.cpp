// Preloaded into a program (LD_PRELOAD), so that it sees IPoIB interfaces with hardware addresses
// of 20 bytes, as on real hardware. The kernel keeps no address for a TUN device of link type
// InfiniBand: it takes addresses of this type to be 0 bytes long (drivers/net/tun.c,
// tun_get_addr_len()). This library adds the addresses to the kernel's message RTM_NEWLINK, in the
// form of drivers/infiniband/ulp/ipoib (RFC 4391, sections 4 and 9.1.1):
//
//   IFLA_ADDRESS    flags and queue pair (4 bytes), GID of the port (16)
//   IFLA_BROADCAST  00:ff:ff:ff and the multicast GID, in which bytes 8 and 9 are the P_Key
//
// UBF_LAB_PKEYS in the environment names a file of lines "NAME P_KEY" (hexadecimal). It is read for
// each message, and other interfaces stay unchanged.
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <fstream>
#include <linux/if_arp.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <optional>
#include <span>
#include <string>
#include <sys/socket.h>
#include <vector>

namespace {

using HardwareAddress = std::array<std::uint8_t, 20>;
using Buffer = std::vector<std::uint8_t>;

constexpr std::size_t room =
    4096; // more than is ever added to a datagram whose length the program asks for

std::optional<std::uint16_t> pkey_of(const std::string& name) {
    const char* const path = std::getenv("UBF_LAB_PKEYS");
    if (!path)
        return std::nullopt;
    std::ifstream file(path);
    for (std::string word, pkey; file >> word >> pkey;) {
        if (word == name)
            return static_cast<std::uint16_t>(std::stoul(pkey, nullptr, 16));
    }
    return std::nullopt;
}

HardwareAddress address_of(int index) {
    HardwareAddress address{0x80, 0, 0, static_cast<std::uint8_t>(index), 0xfe, 0x80};
    address.back() = static_cast<std::uint8_t>(index);
    return address;
}

HardwareAddress broadcast_of(std::uint16_t pkey) {
    return {0x00,
            0xff,
            0xff,
            0xff,
            0xff,
            0x12,
            0x40,
            0x1b,
            static_cast<std::uint8_t>(pkey >> 8),
            static_cast<std::uint8_t>(pkey & 0xff),
            0,
            0,
            0,
            0,
            0,
            0,
            0xff,
            0xff,
            0xff,
            0xff};
}

template<typename T>
void append(Buffer& buffer, const T& value) {
    const auto* const bytes = reinterpret_cast<const std::uint8_t*>(&value);
    buffer.insert(buffer.end(), bytes, bytes + sizeof value);
}

void append_attribute(Buffer& buffer, std::uint16_t type, const HardwareAddress& address) {
    append(buffer, rtattr{static_cast<unsigned short>(RTA_LENGTH(address.size())), type});
    append(buffer, address); // its size is a multiple of 4 bytes
}

// Appends one message, with the missing attributes.
void append_message(Buffer& buffer, const nlmsghdr& header) {
    const auto* const begin = reinterpret_cast<const std::uint8_t*>(&header);
    const auto start = buffer.size();
    buffer.insert(buffer.end(), begin, begin + header.nlmsg_len);
    buffer.resize(start + NLMSG_ALIGN(header.nlmsg_len));
    if (header.nlmsg_type != RTM_NEWLINK || header.nlmsg_len < NLMSG_LENGTH(sizeof(ifinfomsg)))
        return;
    const auto& link = *static_cast<const ifinfomsg*>(NLMSG_DATA(&header));
    if (link.ifi_type != ARPHRD_INFINIBAND)
        return;
    std::optional<std::uint16_t> pkey;
    auto length = static_cast<int>(IFLA_PAYLOAD(&header));
    for (auto* item = IFLA_RTA(&link); RTA_OK(item, length); item = RTA_NEXT(item, length)) {
        if (item->rta_type == IFLA_BROADCAST)
            return; // real hardware has an address
        if (item->rta_type == IFLA_IFNAME)
            pkey = pkey_of(static_cast<const char*>(RTA_DATA(item)));
    }
    if (!pkey)
        return;
    append_attribute(buffer, IFLA_ADDRESS, address_of(link.ifi_index));
    append_attribute(buffer, IFLA_BROADCAST, broadcast_of(*pkey));
    const auto whole = static_cast<std::uint32_t>(buffer.size() - start);
    std::memcpy(buffer.data() + start + offsetof(nlmsghdr, nlmsg_len), &whole, sizeof whole);
}

bool is_route_socket(int fd) {
    int domain = 0;
    int protocol = -1;
    socklen_t size = sizeof domain;
    return ::getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 && domain == AF_NETLINK &&
           ::getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &size) == 0 &&
           protocol == NETLINK_ROUTE;
}

} // namespace

extern "C" ssize_t recvmsg(int fd, msghdr* message, int flags) {
    using Receive = ssize_t (*)(int, msghdr*, int);
    static const auto receive = reinterpret_cast<Receive>(::dlsym(RTLD_NEXT, "recvmsg"));
    const auto length = receive(fd, message, flags);
    if (length <= 0 || message->msg_iovlen != 1 || !is_route_socket(fd))
        return length;
    if ((flags & MSG_TRUNC) != 0)
        return length + static_cast<ssize_t>(room);
    if ((message->msg_flags & MSG_TRUNC) != 0)
        return length;
    auto& part = message->msg_iov[0];
    Buffer all;
    auto left = static_cast<unsigned>(length);
    for (auto* header = static_cast<const nlmsghdr*>(part.iov_base); NLMSG_OK(header, left);
         header = NLMSG_NEXT(header, left))
        append_message(all, *header);
    if (all.size() > part.iov_len)
        return length;
    std::copy(all.begin(), all.end(), static_cast<std::uint8_t*>(part.iov_base));
    return static_cast<ssize_t>(all.size());
}
