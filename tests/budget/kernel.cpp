#include "kernel.hpp"

#include "clock.hpp"
#include "wrap.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fmt/format.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <netinet/in.h>
#include <sys/eventfd.h>

namespace ubf::budget {
namespace {

constexpr std::chrono::microseconds round_takes{500};

constexpr std::uint16_t queue_type(int message) {
    return static_cast<std::uint16_t>(NFNL_SUBSYS_QUEUE << 8 | message);
}

Message acknowledgement(const nlmsghdr* of) {
    struct {
        nlmsghdr header;
        nlmsgerr error;
    } message{};
    message.header.nlmsg_len = sizeof message;
    message.header.nlmsg_type = NLMSG_ERROR;
    message.header.nlmsg_seq = of->nlmsg_seq;
    message.error.msg = *of;
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(&message);
    return {bytes, bytes + sizeof message};
}

// The end of a dump without results.
Message nothing_more(const nlmsghdr* of) {
    struct {
        nlmsghdr header;
        int error;
    } message{};
    message.header.nlmsg_len = sizeof message;
    message.header.nlmsg_type = NLMSG_DONE;
    message.header.nlmsg_flags = NLM_F_MULTI;
    message.header.nlmsg_seq = of->nlmsg_seq;
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(&message);
    return {bytes, bytes + sizeof message};
}

template<typename T>
T read(Bytes bytes) {
    T value{};
    std::memcpy(&value, bytes.data(), std::min(bytes.size(), sizeof value));
    return value;
}

sockaddr_in6 to_sockaddr(const Endpoint& endpoint) {
    sockaddr_in6 address{};
    address.sin6_family = AF_INET6;
    address.sin6_port = htons(endpoint.port);
    std::memcpy(&address.sin6_addr, endpoint.address.bytes().data(), sizeof address.sin6_addr);
    return address;
}

Address to_address(const in6_addr& address) {
    return Address::v6(std::span<const std::uint8_t, 16>(address.s6_addr));
}

} // namespace

void give_up(const std::string& why) {
    std::fprintf(stderr, "replay: %s\n", why.c_str());
    std::_Exit(EXIT_FAILURE);
}

Kernel& Kernel::only() {
    static Kernel kernel;
    return kernel;
}

Kernel::Socket& Kernel::at(int fd) {
    const std::lock_guard lock(mutex_);
    return sockets_.at(fd);
}

bool Kernel::is_ours(int fd) const {
    const std::lock_guard lock(mutex_);
    return sockets_.contains(fd);
}

int Kernel::socket(int domain, int protocol) {
    if (domain != AF_NETLINK && domain != AF_INET6)
        return -1;
    const int fd = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); // readable if a datagram waits
    const std::lock_guard lock(mutex_);
    sockets_[fd] = {protocol};
    return fd;
}

void Kernel::deliver(int fd, Datagram datagram) {
    auto& waiting = at(fd).waiting;
    waiting.push_back(std::move(datagram));
    if (waiting.size() == 1)
        ::eventfd_write(fd, 1);
}

void Kernel::send(int fd, Bytes bytes) {
    while (const auto* message = netlink::next_message(bytes))
        send(fd, message);
}

void Kernel::send(int fd, const nlmsghdr* message) {
    const Bytes bytes(reinterpret_cast<const std::uint8_t*>(message), message->nlmsg_len);
    if (at(fd).bus == NETLINK_SOCK_DIAG && (message->nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP)
        return deliver(fd, {nothing_more(message)}); // no socket shares a port
    if (at(fd).bus == NETLINK_SOCK_DIAG)
        return deliver(fd, {world_->find_socket(bytes)});
    if (message->nlmsg_type == queue_type(NFQNL_MSG_CONFIG))
        queue_ = fd;
    if (message->nlmsg_type == queue_type(NFQNL_MSG_VERDICT)) {
        nfqnl_msg_verdict_hdr verdict{};
        std::uint32_t mark = 0;
        auto attributes = netlink::payload(message, sizeof(nfgenmsg));
        while (const auto* attribute = netlink::next_attribute(attributes)) {
            if (attribute->nla_type == NFQA_VERDICT_HDR)
                verdict = read<nfqnl_msg_verdict_hdr>(netlink::payload(attribute));
            else if (attribute->nla_type == NFQA_MARK)
                mark = ntohl(read<std::uint32_t>(netlink::payload(attribute)));
        }
        world_->take_verdict(ntohl(verdict.id), ntohl(verdict.verdict), mark);
    }
    if ((message->nlmsg_flags & NLM_F_ACK) != 0)
        deliver(fd, {acknowledgement(message)});
}

void Kernel::send(int fd, const msghdr& message) {
    const auto to = read<sockaddr_in6>(
        {static_cast<const std::uint8_t*>(message.msg_name), message.msg_namelen});
    const auto* control = CMSG_FIRSTHDR(&message);
    const auto from = read<in6_pktinfo>({CMSG_DATA(control), sizeof(in6_pktinfo)});
    const Port port = ntohs(to.sin6_port); // the same port at both ends
    const auto& part = message.msg_iov[0];
    world_->take_datagram(fd,
                          {{to_address(from.ipi6_addr), port}, {to_address(to.sin6_addr), port}},
                          {static_cast<const std::uint8_t*>(part.iov_base), part.iov_len});
}

int Kernel::receive(int fd, mmsghdr* messages, unsigned count) {
    auto& waiting = at(fd).waiting;
    if (waiting.empty()) {
        errno = EAGAIN;
        return -1;
    }
    int received = 0;
    for (; !waiting.empty() && static_cast<unsigned>(received) < count; ++received) {
        messages[received].msg_len = receive(messages[received].msg_hdr, waiting.front());
        waiting.pop_front();
    }
    eventfd_t told = 0;
    if (waiting.empty())
        ::eventfd_read(fd, &told);
    return received;
}

unsigned Kernel::receive(msghdr& header, const Datagram& datagram) {
    const auto& [bytes, path] = datagram;
    const auto length = std::min(header.msg_iov[0].iov_len, bytes.size());
    std::memcpy(header.msg_iov[0].iov_base, bytes.data(), length);
    header.msg_flags = length < bytes.size() ? MSG_TRUNC : 0;
    if (header.msg_controllen == 0) {
        std::memset(header.msg_name, 0, header.msg_namelen); // port id 0: the kernel
        return static_cast<unsigned>(length);
    }
    const auto sender = to_sockaddr(path.from);
    std::memcpy(header.msg_name, &sender, sizeof sender);
    in6_pktinfo info{};
    info.ipi6_addr = to_sockaddr(path.to).sin6_addr;
    auto* control = CMSG_FIRSTHDR(&header);
    control->cmsg_level = IPPROTO_IPV6;
    control->cmsg_type = IPV6_PKTINFO;
    control->cmsg_len = CMSG_LEN(sizeof info);
    std::memcpy(CMSG_DATA(control), &info, sizeof info);
    return static_cast<unsigned>(length);
}

void Kernel::watch(int epoll, int fd) {
    if (fd == queue_)
        epoll_ = epoll;
}

int Kernel::wait(int epoll, epoll_event* events, int most) {
    Time::pass(round_takes);
    int timeout = 0;
    while (true) {
        if (const int count = __real_epoll_wait(epoll, events, most, timeout); count != 0)
            return count;
        timeout = world_->pass_time();
    }
}

} // namespace ubf::budget
