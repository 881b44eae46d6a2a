#include "daemon/gate/queue.hpp"

#include "netlink/queue_table.hpp"

#include <arpa/inet.h>
#include <array>
#include <cerrno>
#include <cstring>
#include <fmt/format.h>
#include <libmnl/libmnl.h>
#include <libnetfilter_queue/libnetfilter_queue.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <optional>
#include <poll.h>
#include <string>
#include <sys/socket.h>
#include <utility>

namespace ubf {
namespace {

// IPv6 with a few extension headers, and TCP's own; the payload is nobody's business.
constexpr std::uint32_t copy_range = 192;
// The bytes of a queued packet in the socket's buffer, by the kernel's count (an skb's truesize).
constexpr int message_cost = 2048;

bool is_readable(int fd) {
    pollfd poll{fd, POLLIN, 0};
    return ::poll(&poll, 1, 0) > 0;
}

// The kept socket, where it is the one that has the queue.
std::optional<NetlinkSocket> adopt(std::uint16_t number, UniqueFd kept) {
    if (!kept)
        return std::nullopt;
    NetlinkSocket socket(std::move(kept));
    if (socket.port_id() == 0 || socket.port_id() != kernel_queue(number).port_id)
        return std::nullopt;
    return socket;
}

// The kernel says EPERM both to those without the privilege and to those who come second.
QueueError error_of(std::uint16_t number, int error) {
    std::string cause = std::strerror(error);
    if (error == EBUSY || (error == EPERM && kernel_queue(number).port_id != 0)) {
        error = EBUSY;
        cause = "another program has it, perhaps another ubfd; stop it, or set queue.first to a "
                "free range";
    } else if (error == EPERM) {
        cause = "CAP_NET_ADMIN is missing; run as root or give the unit the capability";
    } else if (error == EOPNOTSUPP || error == EINVAL || error == EPROTONOSUPPORT) {
        cause = "the kernel lacks nfnetlink_queue; load it with 'modprobe nfnetlink_queue'";
    }
    return {fmt::format("binding netfilter queue {}: {}", number, cause), error};
}

nlmsghdr* put_header(std::span<std::uint8_t> buffer, std::uint16_t type, std::uint16_t queue,
                     std::uint16_t flags) {
    nlmsghdr* message = mnl_nlmsg_put_header(buffer.data());
    message->nlmsg_type = static_cast<std::uint16_t>(NFNL_SUBSYS_QUEUE << 8 | type);
    message->nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | flags);
    auto* header = static_cast<nfgenmsg*>(mnl_nlmsg_put_extra_header(message, sizeof(nfgenmsg)));
    header->nfgen_family = AF_UNSPEC;
    header->version = NFNETLINK_V0;
    header->res_id = htons(queue);
    return message;
}

class Message {
  public:
    // sequence: of the kernel's acknowledgement. The messages about packets have 0.
    Message(std::uint16_t type, std::uint16_t queue, std::uint32_t sequence)
      : header_(put_header(buffer_, type, queue, NLM_F_ACK)) {
        header_->nlmsg_seq = sequence;
    }
    nlmsghdr* get() { return header_; }
    std::span<const std::uint8_t> bytes() const { return {buffer_.data(), header_->nlmsg_len}; }

  private:
    alignas(nlmsghdr) std::array<std::uint8_t, 256> buffer_{};
    nlmsghdr* header_;
};

} // namespace

QueuedPacket::QueuedPacket(QueuedPacket&& other) noexcept
  : queue_(std::exchange(other.queue_, nullptr))
  , id_(other.id_)
  , mark_(other.mark_) {}

QueuedPacket& QueuedPacket::operator=(QueuedPacket&& other) noexcept {
    if (this != &other) {
        judge(Reason::internal_error);
        queue_ = std::exchange(other.queue_, nullptr);
        id_ = other.id_;
        mark_ = other.mark_;
    }
    return *this;
}

QueuedPacket::~QueuedPacket() {
    judge(Reason::internal_error);
}

void QueuedPacket::judge(Reason reason) {
    if (auto* queue = std::exchange(queue_, nullptr))
        queue->verdict(id_, mark_, reason);
}

Queue::Queue(std::uint16_t number, std::uint32_t length, Mark mark, GateCounters& counters,
             UniqueFd kept)
  : Queue(number, length, mark, counters, adopt(number, std::move(kept))) {}

Queue::Queue(std::uint16_t number, std::uint32_t length, Mark mark, GateCounters& counters,
             std::optional<NetlinkSocket> adopted)
  : socket_(adopted ? std::move(*adopted) : NetlinkSocket(NETLINK_NETFILTER))
  , number_(number)
  , mark_(mark)
  , counters_(counters)
  , adopted_(adopted.has_value())
  , others_cleared_(!adopted_) {
    make_room(length);
    if (!adopted_)
        bind();
    else if (const auto kernel = kernel_queue(number_);
             kernel.waiting > 0 && !is_readable(socket_.fd())) // all that waits was read before us
        drop_before(kernel.last_packet + 1);
    configure(length);
}

void Queue::bind() {
    Message bind(NFQNL_MSG_CONFIG, number_, 1);
    nfq_nlmsg_cfg_put_cmd(bind.get(), AF_UNSPEC, NFQNL_CFG_CMD_BIND);
    if (const int error = transact(bind.bytes(), 1); error != 0)
        throw error_of(number_, error);
}

// Sends a configuration message. 0, or the errno that the kernel answers.
int Queue::transact(std::span<const std::uint8_t> message, std::uint32_t sequence) {
    if (const int error = socket_.send(message); error != 0)
        return error;
    if (adopted_)
        return 0; // packets that wait may come first: the answer is read with them
    // From its binding on the queue takes packets, of which the kernel does not yet give the bytes.
    std::optional<std::uint32_t> last;
    const int error = socket_.receive_acknowledgement(sequence, [&](netlink::Bytes datagram) {
        messages_.clear();
        parse_queue_messages(datagram, messages_);
        for (const auto& each : messages_)
            if (const auto* packet = std::get_if<PacketMessage>(&each))
                last = packet->id;
    });
    if (last)
        drop_before(*last + 1);
    return error;
}

// The kernel's answer is read with the packets.
void Queue::set_fail_open(bool yes) {
    Message parameters(NFQNL_MSG_CONFIG, number_, 0);
    mnl_attr_put_u32(parameters.get(), NFQA_CFG_FLAGS, htonl(yes ? NFQA_CFG_F_FAIL_OPEN : 0));
    mnl_attr_put_u32(parameters.get(), NFQA_CFG_MASK, htonl(NFQA_CFG_F_FAIL_OPEN));
    if (socket_.send(parameters.bytes()) != 0)
        counters_.verdict_errors.add();
}

void Queue::configure(std::uint32_t length) {
    // Segments are not split for us (GSO). A full queue drops, for a dropped SYN is sent again, and
    // an accepted one is not taken back. (If the site only observes, see set_fail_open().)
    Message parameters(NFQNL_MSG_CONFIG, number_, 2);
    nfq_nlmsg_cfg_put_params(parameters.get(), NFQNL_COPY_PACKET, copy_range);
    nfq_nlmsg_cfg_put_qmaxlen(parameters.get(), length);
    mnl_attr_put_u32(parameters.get(), NFQA_CFG_FLAGS, htonl(NFQA_CFG_F_GSO));
    mnl_attr_put_u32(parameters.get(), NFQA_CFG_MASK, htonl(NFQA_CFG_F_GSO));
    if (const int error = transact(parameters.bytes(), 2); error != 0)
        throw error_of(number_, error);

    // The kernel tells with a translated packet what it was before. Some kernels can't; then nobody
    // knows.
    Message tracked(NFQNL_MSG_CONFIG, number_, 3);
    mnl_attr_put_u32(tracked.get(), NFQA_CFG_FLAGS, htonl(NFQA_CFG_F_CONNTRACK));
    mnl_attr_put_u32(tracked.get(), NFQA_CFG_MASK, htonl(NFQA_CFG_F_CONNTRACK));
    static_cast<void>(transact(tracked.bytes(), 3));
    flush();
}

void Queue::make_room(std::uint32_t length) {
    // Room for a full queue. The kernel counts packets that don't fit in
    // /proc/net/netfilter/nfnetlink_queue, which status shows.
    constexpr std::uint32_t most = 64u << 20;
    // Until it is configured, it takes as many packets as the kernel's default says.
    constexpr std::uint32_t default_length = 1024; // NFQNL_QMAX_DEFAULT
    const auto room = std::min<std::uint64_t>(
        std::uint64_t{std::max(length, default_length)} * message_cost, most);
    socket_.set_receive_buffer(static_cast<int>(room));
    const int on = 1;
    ::setsockopt(socket_.fd(), SOL_NETLINK, NETLINK_NO_ENOBUFS, &on, sizeof on);
}

void Queue::receive(const std::function<void(Arrival)>& each) {
    const int count = batch_.receive(socket_.fd(), batch_size,
                                     [&](netlink::Bytes datagram) { handle(datagram, each); });
    if (count == -ENOBUFS)
        counters_.messages_lost.add();
}

void Queue::handle(std::span<const std::uint8_t> datagram,
                   const std::function<void(Arrival)>& each) {
    messages_.clear();
    parse_queue_messages(datagram, messages_);
    for (const auto& message : messages_) {
        if (const auto* error = std::get_if<ErrorMessage>(&message)) {
            handle_error(error->error);
            continue;
        }
        const auto& packet = std::get<PacketMessage>(message);
        packets_.add();
        if (!others_cleared_)
            drop_before(packet.id);
        const auto field = packet.mark & mark_.mask;
        each({QueuedPacket(*this, packet.id, packet.mark), packet.bytes, packet.interface,
              field == mark_.reply() || field == mark_.fabric_reply(),
              field == mark_.fabric() || field == mark_.fabric_reply(), field == mark_.translated(),
              packet.tracked});
    }
}

// Packets that a predecessor read but never judged would wait for ever. Their ids are lower than
// the first id that we read, so all below it are dropped, and their senders retransmit. (If no
// packet is left to read, they wait for the next packet of this queue.)
void Queue::drop_before(std::uint32_t id) {
    others_cleared_ = true;
    alignas(nlmsghdr) std::array<std::uint8_t, 128> buffer{};
    nlmsghdr* message = put_header(buffer, NFQNL_MSG_VERDICT_BATCH, number_, 0);
    nfq_nlmsg_verdict_put(message, static_cast<int>(id - 1), NF_DROP);
    verdicts_.insert(verdicts_.end(), buffer.begin(), buffer.begin() + message->nlmsg_len);
}

void Queue::handle_error(int error) {
    // ENOENT: the packet was dropped while it waited, with its interface or its hook.
    if (error == ENOENT)
        counters_.packets_gone.add();
    else if (error != 0 && error != EOPNOTSUPP) // see configure()
        counters_.verdict_errors.add();
}

void Queue::verdict(std::uint32_t id, std::uint32_t mark, Reason reason) {
    constexpr std::size_t room = 128;
    constexpr std::size_t enough = 16384;
    counters_.verdicts.add(reason);
    if (verdicts_.size() + room > enough)
        flush();

    std::uint32_t field = mark_.denied();
    int verdict = NF_ACCEPT; // on to the verdict chain, which reads the mark
    switch (action_of(reason)) {
    case Action::allow:
        field = mark_.allow();
        break;
    case Action::closed:
        field = mark_.closed();
        break;
    case Action::drop:
        verdict = NF_DROP;
        break;
    case Action::deny:
    case Action::count_:
        break;
    }

    alignas(nlmsghdr) std::array<std::uint8_t, room> buffer{};
    nlmsghdr* message = put_header(buffer, NFQNL_MSG_VERDICT, number_, 0);
    nfq_nlmsg_verdict_put(message, static_cast<int>(id), verdict);
    nfq_nlmsg_verdict_put_mark(message, (mark & ~mark_.mask) | field);
    verdicts_.insert(verdicts_.end(), buffer.begin(), buffer.begin() + message->nlmsg_len);
}

void Queue::flush() {
    if (verdicts_.empty())
        return;
    // The kernel takes all of it or, for want of memory, none: then the next round tries again.
    if (socket_.send(verdicts_) == 0)
        verdicts_.clear();
    else
        counters_.verdict_errors.add();
}

} // namespace ubf
