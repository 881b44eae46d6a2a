#include "ident/socket.hpp"

#include <arpa/inet.h>
#include <array>
#include <cerrno>
#include <cstring>
#include <fmt/format.h>
#include <iterator>
#include <linux/errqueue.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <optional>
#include <sys/socket.h>
#include <system_error>
#include <utility>

namespace ubf::ident {
namespace {

constexpr std::size_t batch = 32;

void set(int fd, int level, int option, int value, const char* what) {
    if (::setsockopt(fd, level, option, &value, sizeof value) < 0)
        throw std::system_error(errno, std::generic_category(), what);
}

sockaddr_in6 to_sockaddr(const Endpoint& endpoint, std::uint32_t interface) {
    sockaddr_in6 address{};
    address.sin6_family = AF_INET6;
    address.sin6_port = htons(endpoint.port);
    std::memcpy(&address.sin6_addr, endpoint.address.bytes().data(), 16);
    if (endpoint.address.is_link_local())
        address.sin6_scope_id = interface;
    return address;
}

bool is_bound_to(const UniqueFd& fd, Port port) {
    sockaddr_in6 address{};
    socklen_t size = sizeof address;
    return fd && ::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size) == 0 &&
           address.sin6_family == AF_INET6 && address.sin6_port == htons(port);
}

Address to_address(const in6_addr& address) {
    return Address::v6(std::span<const std::uint8_t, 16>(address.s6_addr, 16));
}

// Exceeds the system's limits if CAP_NET_ADMIN allows it.
void make_room(int fd) {
    constexpr int bytes = 8 << 20;
    ::setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes);
    ::setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof bytes);
}

UniqueFd bound(Port port, bool shared) {
    UniqueFd fd(::socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd)
        throw std::system_error(errno, std::generic_category(), "opening the ident socket");
    set(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, 0, "making the ident socket dual-stack");
    set(fd.get(), IPPROTO_IPV6, IPV6_RECVPKTINFO, 1, "asking for the address of a datagram");
    if (shared)
        set(fd.get(), SOL_SOCKET, SO_REUSEPORT, 1, "sharing the ident port");
    const auto any = to_sockaddr({Address{}, port}, 0);
    if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&any), sizeof any) == 0)
        return fd;
    const char* why = errno == EADDRINUSE ? ": another program has it, perhaps another ubfd; stop "
                                            "it, or set ident.port to another port on every node"
                                          : "";
    throw std::system_error(errno, std::generic_category(),
                            fmt::format("binding the ident port, udp {}{}", port, why));
}

// The kernel numbers the sockets of a shared port in the order of binding. It delivers a datagram
// to the socket whose number this program returns. The program sees the payload and, from
// SKF_NET_OFF on, the IP header. For a datagram that is too short, it returns 0.
void steer_by_channel(int fd, std::size_t channels, std::size_t of_channel_0) {
    constexpr std::uint32_t ip = static_cast<std::uint32_t>(SKF_NET_OFF);
    const auto first_more = static_cast<std::uint32_t>(channels - 1); // offset of all but the first
    sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, channel_offset),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, static_cast<std::uint32_t>(channels), 2, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 0),
        BPF_STMT(BPF_RET | BPF_A, 0),
        // Channel 0: select by the source address.
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, ip),
        BPF_STMT(BPF_ALU | BPF_RSH | BPF_K, 4),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 6, 2, 0),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, ip + 12),
        BPF_JUMP(BPF_JMP | BPF_JA, 10, 0, 0),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, ip + 8),
        BPF_STMT(BPF_MISC | BPF_TAX, 0),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, ip + 12),
        BPF_STMT(BPF_ALU | BPF_XOR | BPF_X, 0),
        BPF_STMT(BPF_MISC | BPF_TAX, 0),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, ip + 16),
        BPF_STMT(BPF_ALU | BPF_XOR | BPF_X, 0),
        BPF_STMT(BPF_MISC | BPF_TAX, 0),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, ip + 20),
        BPF_STMT(BPF_ALU | BPF_XOR | BPF_X, 0),
        BPF_STMT(BPF_ALU | BPF_MOD | BPF_K, static_cast<std::uint32_t>(of_channel_0)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 0),
        BPF_STMT(BPF_ALU | BPF_ADD | BPF_K, first_more),
        BPF_STMT(BPF_RET | BPF_A, 0),
    };
    const sock_fprog program{std::size(code), code};
    if (::setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, sizeof program) < 0)
        throw std::system_error(errno, std::generic_category(), "sharing out the ident port");
}

struct alignas(cmsghdr) Control {
    std::array<std::uint8_t, CMSG_SPACE(sizeof(in6_pktinfo))> bytes{};
};

} // namespace

std::vector<Socket> Socket::open(Port port, std::size_t channels, std::size_t of_channel_0,
                                 UniqueFd kept) {
    const std::size_t named = channels + of_channel_0 - 1;
    std::vector<Socket> sockets;
    sockets.reserve(named + 1);
    // The first socket is bound without sharing, which fails if another program has the port. Only
    // then does it share the port with the others.
    auto first = is_bound_to(kept, port) ? std::move(kept) : bound(port, false);
    set(first.get(), SOL_SOCKET, SO_REUSEPORT, 1, "sharing the ident port");
    sockets.push_back(Socket(std::move(first), port));
    while (sockets.size() < named)
        sockets.push_back(Socket(bound(port, true), port));
    steer_by_channel(sockets.front().fd(), channels, of_channel_0);
    sockets.push_back(Socket(bound(port, true), port)); // beyond those that the program selects
    for (const auto& socket : sockets) {
        make_room(socket.fd());
        set(socket.fd(), IPPROTO_IPV6, IPV6_RECVERR, 1, "asking for errors of IPv6");
        set(socket.fd(), IPPROTO_IP, IP_RECVERR, 1, "asking for errors of IPv4");
    }
    return sockets;
}

int Socket::send(const Path& path, std::uint32_t interface,
                 std::span<const std::uint8_t> bytes) const {
    auto to = to_sockaddr(path.to, interface);
    iovec part{const_cast<std::uint8_t*>(bytes.data()), bytes.size()};
    Control control;
    msghdr message{};
    message.msg_name = &to;
    message.msg_namelen = sizeof to;
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.bytes.data();
    message.msg_controllen = control.bytes.size();

    in6_pktinfo info{};
    std::memcpy(&info.ipi6_addr, path.from.address.bytes().data(), 16);
    if (path.from.address.is_link_local())
        info.ipi6_ifindex = interface;
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = IPPROTO_IPV6;
    header->cmsg_type = IPV6_PKTINFO;
    header->cmsg_len = CMSG_LEN(sizeof info);
    std::memcpy(CMSG_DATA(header), &info, sizeof info);

    // The kernel reports the pending error of another datagram once, instead of sending this one.
    bool may_be_of_another = true;
    while (::sendmsg(fd_.get(), &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
        if (errno != EINTR && (is_want_of_room(errno) || !std::exchange(may_be_of_another, false)))
            return errno;
    return 0;
}

std::vector<Address> Socket::refusals() const {
    std::vector<Address> addresses;
    for (std::size_t i = 0; i < batch; ++i) {
        sockaddr_in6 to{}; // of the datagram that did not arrive
        alignas(cmsghdr) std::array<std::uint8_t, 512> control;
        msghdr message{};
        message.msg_name = &to;
        message.msg_namelen = sizeof to;
        message.msg_control = control.data();
        message.msg_controllen = control.size();
        if (::recvmsg(fd_.get(), &message, MSG_ERRQUEUE | MSG_DONTWAIT) < 0)
            break;
        for (auto* header = CMSG_FIRSTHDR(&message); header != nullptr;
             header = CMSG_NXTHDR(&message, header)) {
            const bool of_v4 = header->cmsg_level == IPPROTO_IP && header->cmsg_type == IP_RECVERR;
            const bool of_v6 =
                header->cmsg_level == IPPROTO_IPV6 && header->cmsg_type == IPV6_RECVERR;
            sock_extended_err error{};
            if ((!of_v4 && !of_v6) || header->cmsg_len < CMSG_LEN(sizeof error))
                continue;
            std::memcpy(&error, CMSG_DATA(header), sizeof error);
            const bool by_icmp =
                error.ee_origin == SO_EE_ORIGIN_ICMP || error.ee_origin == SO_EE_ORIGIN_ICMP6;
            if (by_icmp && error.ee_errno != EMSGSIZE && to.sin6_family == AF_INET6)
                addresses.push_back(to_address(to.sin6_addr));
        }
    }
    return addresses;
}

bool is_want_of_room(int error) {
    return error == EAGAIN || error == ENOBUFS || error == ENOMEM;
}

struct Inbox::Room {
    std::array<mmsghdr, batch> messages;
    std::array<iovec, batch> parts;
    std::array<sockaddr_in6, batch> senders;
    std::array<Control, batch> controls;
    std::array<std::array<std::uint8_t, max_datagram + 1>, batch> buffers;

    void prepare(std::size_t i) {
        parts[i] = {buffers[i].data(), buffers[i].size()};
        auto& header = messages[i].msg_hdr;
        header = {};
        header.msg_name = &senders[i];
        header.msg_namelen = sizeof senders[i];
        header.msg_iov = &parts[i];
        header.msg_iovlen = 1;
        header.msg_control = controls[i].bytes.data();
        header.msg_controllen = controls[i].bytes.size();
    }

    // The source and destination of datagram i; nothing if the kernel doesn't report them.
    std::optional<Received> received(std::size_t i, Port port) {
        const cmsghdr* control = CMSG_FIRSTHDR(&messages[i].msg_hdr);
        if (control == nullptr || control->cmsg_level != IPPROTO_IPV6 ||
            control->cmsg_type != IPV6_PKTINFO)
            return std::nullopt;
        in6_pktinfo info{};
        std::memcpy(&info, CMSG_DATA(control), sizeof info);
        // The buffer has one byte to spare, so an oversized datagram stays so, and is refused as
        // malformed.
        return Received{{{to_address(senders[i].sin6_addr), ntohs(senders[i].sin6_port)},
                         {to_address(info.ipi6_addr), port}},
                        static_cast<std::uint32_t>(info.ipi6_ifindex),
                        {buffers[i].data(), messages[i].msg_len}};
    }
};

Inbox::Inbox()
  : room_(std::make_unique<Room>()) {
    for (std::size_t i = 0; i < batch; ++i)
        room_->prepare(i);
}

Inbox::~Inbox() = default;

bool Socket::receive(Inbox& inbox, const std::function<void(const Received&)>& each) const {
    auto& room = *inbox.room_;
    const int count = ::recvmmsg(fd_.get(), room.messages.data(), batch, MSG_DONTWAIT, nullptr);
    for (std::size_t i = 0; count > 0 && i < static_cast<std::size_t>(count); ++i) {
        const auto received = room.received(i, port_);
        room.prepare(i); // the kernel has changed it
        if (received)
            each(*received);
    }
    return count == static_cast<int>(batch);
}

} // namespace ubf::ident
