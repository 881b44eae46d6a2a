#include "nft/connection.hpp"

#include "netlink/message.hpp"
#include "nft/error.hpp"

#include <cerrno>
#include <libmnl/libmnl.h>
#include <libnftnl/common.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <optional>
#include <sys/socket.h>
#include <sys/time.h>
#include <system_error>

namespace ubf::nft {
namespace {

// Whether this is a bound netfilter socket, and not something else under the same name.
bool is_ours(const UniqueFd& fd) {
    int bus = -1;
    socklen_t size = sizeof bus;
    sockaddr_nl address{};
    socklen_t length = sizeof address;
    return fd && ::getsockopt(fd.get(), SOL_SOCKET, SO_PROTOCOL, &bus, &size) == 0 &&
           bus == NETLINK_NETFILTER &&
           ::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &length) == 0 &&
           address.nl_family == AF_NETLINK && address.nl_pid != 0;
}

NetlinkSocket open_socket() {
    try {
        return NetlinkSocket(NETLINK_NETFILTER);
    } catch (const std::system_error& error) {
        throw explained("opening a netlink socket to netfilter", error.code().value(),
                        "nfnetlink, nf_tables");
    }
}

// The errno that a message of type NLMSG_ERROR carries; 0 is an acknowledgement.
int carried_error(const nlmsghdr* header) {
    if (mnl_nlmsg_get_payload_len(header) < sizeof(nlmsgerr))
        return EBADMSG;
    return -static_cast<const nlmsgerr*>(mnl_nlmsg_get_payload(header))->error;
}

// Calls `each` with every message of a datagram, until `each` returns something.
template<typename Each>
auto for_messages(std::span<const std::uint8_t> messages, Each each) -> decltype(each(nullptr)) {
    while (const auto* header = netlink::next_message(messages))
        if (auto result = each(header))
            return result;
    return {};
}

} // namespace

Connection::Connection()
  : Connection(UniqueFd()) {}

Connection::Connection(UniqueFd kept)
  : socket_(is_ours(kept) ? NetlinkSocket(std::move(kept)) : open_socket())
  , fd_(socket_.lock()->fd())
  , port_id_(socket_.lock()->port_id()) {
    const auto socket = socket_.lock();
    // Room for every acknowledgement of a transaction, and for a transaction, which is one
    // datagram.
    socket->set_receive_buffer(4 << 20);
    const int send_buffer = 32 << 20;
    ::setsockopt(fd_, SOL_SOCKET, SO_SNDBUFFORCE, &send_buffer, sizeof send_buffer);
    // The kernel answers within the call. A lost answer must not block us forever.
    const timeval patience{5, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    // Discards answers that a predecessor asked for and never read.
    std::vector<std::uint8_t> buffer(message_room);
    while (true) {
        const auto length = socket->receive(buffer, MSG_DONTWAIT);
        if (!length && length.error() != ENOBUFS && length.error() != EMSGSIZE)
            break;
    }
}

// The kernel acknowledges every step, or names those that failed and undoes the rest. An error of
// the whole batch (no privilege, no nf_tables) names the first message.
Connection::Outcome Connection::commit(Batch& batch) {
    const auto socket = socket_.lock();
    if (const int error = socket->send(batch.finish()); error != 0)
        return {error, {"sending the ruleset"}};
    auto open = batch.steps();
    Outcome outcome;
    const auto room = std::make_unique_for_overwrite<std::uint8_t[]>(message_room);
    const std::span buffer(room.get(), message_room);
    while (!open.empty()) {
        const auto length = socket->receive(buffer);
        if (!length)
            return {length.error(), {"waiting for the kernel's acknowledgement"}};
        const auto whole =
            for_messages(buffer.first(*length), [&](const nlmsghdr* h) -> std::optional<int> {
                if (h->nlmsg_type != NLMSG_ERROR)
                    return std::nullopt;
                const int error = carried_error(h);
                if (h->nlmsg_seq == batch.begin() && error != 0)
                    return error;
                const auto step = open.extract(h->nlmsg_seq);
                if (!step.empty() && error != 0 && outcome.error == 0)
                    outcome = {error, step.mapped()};
                return std::nullopt;
            });
        if (whole)
            return {*whole, {"changing the ruleset"}};
    }
    return outcome;
}

int Connection::get(std::uint16_t type, const Fill& fill, const Each& each) {
    return ask(type, 0, fill, each);
}

int Connection::dump(std::uint16_t type, const Fill& fill, const Each& each) {
    return ask(type, NLM_F_DUMP, fill, each);
}

int Connection::ask(std::uint16_t type, std::uint16_t flags, const Fill& fill, const Each& each) {
    const auto socket = socket_.lock();
    const std::uint32_t number = ++sequence_;
    const auto room = std::make_unique_for_overwrite<std::uint8_t[]>(message_room);
    const std::span buffer(room.get(), message_room);
    auto* request = nftnl_nlmsg_build_hdr(reinterpret_cast<char*>(buffer.data()), type,
                                          NFPROTO_INET, flags, number);
    fill(request);
    if (const int error = socket->send({buffer.data(), request->nlmsg_len}); error != 0)
        return error;
    bool interrupted = false;
    while (true) {
        const auto length = socket->receive(buffer);
        if (!length)
            return length.error();
        const auto end =
            for_messages(buffer.first(*length), [&](const nlmsghdr* h) -> std::optional<int> {
                if (h->nlmsg_seq != number)
                    return std::nullopt; // the answer to an abandoned request
                interrupted = interrupted || (h->nlmsg_flags & NLM_F_DUMP_INTR) != 0;
                if (h->nlmsg_type == NLMSG_DONE)
                    return 0;
                if (h->nlmsg_type == NLMSG_ERROR)
                    return carried_error(h);
                each(h);
                return flags == 0 ? std::optional(0)
                                  : std::nullopt; // one answer, and no end of a dump
            });
        if (end)
            return *end == 0 && interrupted ? EINTR : *end;
    }
}

} // namespace ubf::nft
