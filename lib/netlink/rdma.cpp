#include "netlink/rdma.hpp"

#include <arpa/inet.h>
#include <array>
#include <cerrno>
#include <cstring>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <rdma/rdma_netlink.h>
#include <sys/socket.h>
#include <system_error>

namespace ubf::rdma {
namespace {

using netlink::Bytes;

constexpr std::size_t buffer_bytes = std::size_t{1} << 16; // the kernel fills 32 KiB at most

// enum ib_qp_type and enum ib_qp_state of rdma/ib_verbs.h.
constexpr std::uint8_t type_rc = 2;
constexpr std::uint8_t type_uc = 3;
constexpr std::uint8_t type_xrc_initiator = 9;
constexpr std::uint8_t type_xrc_target = 10;
constexpr std::uint8_t state_rtr = 2;
constexpr std::uint8_t state_rts = 3;
constexpr std::uint8_t state_sqd = 4;

std::uint16_t type_of(const nlattr& attribute) {
    return attribute.nla_type & NLA_TYPE_MASK;
}

// A number in host byte order; nothing if the length differs.
template<typename T>
std::optional<T> get(Bytes bytes) {
    T value{};
    if (bytes.size() != sizeof value)
        return std::nullopt;
    std::memcpy(&value, bytes.data(), sizeof value);
    return value;
}

struct SocketAddress {
    Endpoint endpoint;
    bool v4 = false;
    std::uint32_t interface = 0;
};

// __kernel_sockaddr_storage. Nothing if the address is neither IPv4 nor IPv6.
std::optional<SocketAddress> get_address(Bytes bytes) {
    const auto family =
        bytes.size() < sizeof(sa_family_t) ? std::nullopt : get<sa_family_t>(bytes.first(2));
    if (family == AF_INET && bytes.size() >= sizeof(sockaddr_in)) {
        sockaddr_in address{};
        std::memcpy(&address, bytes.data(), sizeof address);
        std::array<std::uint8_t, 4> octets{};
        std::memcpy(octets.data(), &address.sin_addr, octets.size());
        return SocketAddress{{Address::v4(octets), ntohs(address.sin_port)}, true, 0};
    }
    if (family == AF_INET6 && bytes.size() >= sizeof(sockaddr_in6)) {
        sockaddr_in6 address{};
        std::memcpy(&address, bytes.data(), sizeof address);
        const std::span<const std::uint8_t, 16> octets(address.sin6_addr.s6_addr, 16);
        return SocketAddress{
            {Address::v6(octets), ntohs(address.sin6_port)}, false, address.sin6_scope_id};
    }
    return std::nullopt;
}

// Reads the maker, which cm_ids and queue pairs have in common. False if the attribute is
// malformed.
bool read_maker(Maker& maker, std::uint16_t type, Bytes bytes) {
    if (type == RDMA_NLDEV_ATTR_RES_PID) {
        const auto task = get<std::uint32_t>(bytes);
        if (!task || *task == 0 || *task > INT32_MAX)
            return false;
        maker.task = Pid{static_cast<std::int32_t>(*task)};
    } else if (type == RDMA_NLDEV_ATTR_RES_KERN_NAME) {
        maker.kernel = true;
    }
    return true;
}

template<typename T, typename Field>
bool read_number(Bytes bytes, Field& field) {
    const auto value = get<T>(bytes);
    if (value)
        field = static_cast<Field>(*value);
    return value.has_value();
}

enum class Read : std::uint8_t { good, skipped, broken };

Read read_entry(Bytes attributes, CmId& id) {
    std::optional<SocketAddress> source;
    std::optional<SocketAddress> destination;
    bool has_source = false;
    bool has_destination = false;
    while (const auto* attribute = netlink::next_attribute(attributes)) {
        const auto bytes = netlink::payload(attribute);
        bool good = true;
        switch (type_of(*attribute)) {
        case RDMA_NLDEV_ATTR_RES_CM_IDN:
            good = read_number<std::uint32_t>(bytes, id.key.number);
            break;
        case RDMA_NLDEV_ATTR_RES_PS:
            good = read_number<std::uint32_t>(bytes, id.port_space);
            break;
        case RDMA_NLDEV_ATTR_RES_STATE:
            good = read_number<std::uint8_t>(bytes, id.state);
            break;
        case RDMA_NLDEV_ATTR_RES_LQPN:
            good = read_number<std::uint32_t>(bytes, id.queue_pair);
            break;
        case RDMA_NLDEV_ATTR_RES_SRC_ADDR:
            has_source = true;
            source = get_address(bytes);
            break;
        case RDMA_NLDEV_ATTR_RES_DST_ADDR:
            has_destination = true;
            destination = get_address(bytes);
            break;
        default:
            good = read_maker(id.maker, type_of(*attribute), bytes);
        }
        if (!good)
            return Read::broken;
    }
    // An unbound end has no address. Among the others, only ends with IP addresses count here.
    if (!has_source || !source || (has_destination && !destination) ||
        (destination && destination->v4 != source->v4))
        return Read::skipped;
    id.source = source->endpoint;
    id.v4 = source->v4;
    id.interface = source->interface;
    // The kernel states zeros for an id without a remote end.
    if (destination && destination->endpoint.port != 0)
        id.destination = destination->endpoint;
    return Read::good;
}

Read read_entry(Bytes attributes, QueuePair& pair) {
    while (const auto* attribute = netlink::next_attribute(attributes)) {
        const auto bytes = netlink::payload(attribute);
        bool good = true;
        switch (type_of(*attribute)) {
        case RDMA_NLDEV_ATTR_RES_LQPN:
            good = read_number<std::uint32_t>(bytes, pair.number);
            break;
        case RDMA_NLDEV_ATTR_RES_TYPE:
            good = read_number<std::uint8_t>(bytes, pair.type);
            break;
        case RDMA_NLDEV_ATTR_RES_STATE:
            good = read_number<std::uint8_t>(bytes, pair.state);
            break;
        default:
            good = read_maker(pair.maker, type_of(*attribute), bytes);
        }
        if (!good)
            return Read::broken;
    }
    return Read::good;
}

void set_device(CmId& id, std::uint32_t device) {
    id.key.device = device;
}

void set_device(QueuePair& pair, std::uint32_t device) {
    pair.device = device;
}

// Walks the messages of a datagram that answer this dump. `read` gets each message's payload, and
// returns whether it could be read.
template<typename Entry, typename ReadMessage>
Part<Entry> parse(Bytes datagram, std::uint32_t sequence, unsigned command, ReadMessage read) {
    Part<Entry> part;
    while (const auto* message = netlink::next_message(datagram)) {
        if (message->nlmsg_seq != sequence)
            continue;
        if (message->nlmsg_type == NLMSG_DONE) {
            part.done = true;
        } else if (message->nlmsg_type == NLMSG_ERROR) {
            nlmsgerr error{};
            const auto bytes = netlink::payload(message);
            if (bytes.size() >= sizeof error)
                std::memcpy(&error, bytes.data(), sizeof error);
            part.done = true;
            part.broken = part.broken || bytes.size() < sizeof error || error.error != 0;
        } else if (message->nlmsg_type == RDMA_NL_GET_TYPE(RDMA_NL_NLDEV, command)) {
            part.broken = !read(netlink::payload(message), part) || part.broken;
        }
    }
    part.broken = part.broken || !datagram.empty();
    return part;
}

// Device index, ..., and a table whose entries are nested.
template<typename Entry>
bool read_table(Bytes attributes, std::uint16_t table, std::uint16_t entry, Part<Entry>& part) {
    std::optional<std::uint32_t> device;
    while (const auto* attribute = netlink::next_attribute(attributes)) {
        auto bytes = netlink::payload(attribute);
        if (type_of(*attribute) == RDMA_NLDEV_ATTR_DEV_INDEX)
            device = get<std::uint32_t>(bytes);
        if (type_of(*attribute) != table)
            continue;
        if (!device)
            return false;
        while (const auto* nested = netlink::next_attribute(bytes)) {
            if (type_of(*nested) != entry)
                continue;
            Entry result;
            set_device(result, *device);
            switch (read_entry(netlink::payload(nested), result)) {
            case Read::good:
                part.entries.push_back(std::move(result));
                break;
            case Read::skipped:
                ++part.skipped;
                break;
            case Read::broken:
                return false;
            }
        }
    }
    return true;
}

} // namespace

bool QueuePair::has_other_end() const {
    return type == type_rc || type == type_uc || type == type_xrc_initiator ||
           type == type_xrc_target;
}

bool QueuePair::is_connected() const {
    return has_other_end() && (state == state_rtr || state == state_rts || state == state_sqd);
}

Part<std::uint32_t> parse_devices(Bytes datagram, std::uint32_t sequence) {
    return parse<std::uint32_t>(
        datagram, sequence, RDMA_NLDEV_CMD_GET, [](Bytes attributes, auto& part) {
            while (const auto* attribute = netlink::next_attribute(attributes)) {
                if (type_of(*attribute) != RDMA_NLDEV_ATTR_DEV_INDEX)
                    continue;
                const auto index = get<std::uint32_t>(netlink::payload(attribute));
                if (index)
                    part.entries.push_back(*index);
                return index.has_value();
            }
            return false;
        });
}

Part<CmId> parse_cm_ids(Bytes datagram, std::uint32_t sequence) {
    return parse<CmId>(datagram, sequence, RDMA_NLDEV_CMD_RES_CM_ID_GET,
                       [](Bytes attributes, auto& part) {
                           return read_table(attributes, RDMA_NLDEV_ATTR_RES_CM_ID,
                                             RDMA_NLDEV_ATTR_RES_CM_ID_ENTRY, part);
                       });
}

Part<QueuePair> parse_queue_pairs(Bytes datagram, std::uint32_t sequence) {
    return parse<QueuePair>(datagram, sequence, RDMA_NLDEV_CMD_RES_QP_GET,
                            [](Bytes attributes, auto& part) {
                                return read_table(attributes, RDMA_NLDEV_ATTR_RES_QP,
                                                  RDMA_NLDEV_ATTR_RES_QP_ENTRY, part);
                            });
}

std::optional<Resources> Resources::open() {
    try {
        return Resources(NetlinkSocket(NETLINK_RDMA));
    } catch (const std::system_error&) {
        return std::nullopt; // EPROTONOSUPPORT: there is none
    }
}

// The kernel answers a part with each receive, so this never waits.
template<typename Entry, typename Parse>
int Resources::dump(unsigned command, std::optional<std::uint32_t> device, Parse parse,
                    Table<Entry>& table) {
    struct {
        nlmsghdr header;
        nlattr attribute;
        std::uint32_t index;
    } request{};
    request.header.nlmsg_len = device ? sizeof request : sizeof request.header;
    request.header.nlmsg_type =
        static_cast<std::uint16_t>(RDMA_NL_GET_TYPE(RDMA_NL_NLDEV, command));
    request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    request.header.nlmsg_seq = ++sequence_;
    request.attribute.nla_len = sizeof request.attribute + sizeof request.index;
    request.attribute.nla_type = RDMA_NLDEV_ATTR_DEV_INDEX;
    request.index = device.value_or(0);
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(&request);
    if (const int error = socket_.send({bytes, request.header.nlmsg_len}); error != 0)
        return error;

    buffer_.resize(buffer_bytes / sizeof buffer_[0]);
    const std::span<std::uint8_t> buffer(reinterpret_cast<std::uint8_t*>(buffer_.data()),
                                         buffer_bytes);
    while (true) {
        const auto length = socket_.receive(buffer, MSG_DONTWAIT);
        if (!length)
            return length.error();
        auto part = parse(buffer.first(*length), sequence_);
        for (auto& entry : part.entries)
            table.entries.push_back(std::move(entry));
        table.skipped += part.skipped;
        if (part.broken)
            return EBADMSG;
        if (part.done)
            return 0;
    }
}

Result<std::vector<std::uint32_t>, int> Resources::devices() {
    Table<std::uint32_t> table;
    if (const int error = dump(RDMA_NLDEV_CMD_GET, std::nullopt, parse_devices, table); error != 0)
        return fail(int{error});
    return std::move(table.entries);
}

Result<Table<CmId>, int> Resources::cm_ids(const std::vector<std::uint32_t>& devices) {
    Table<CmId> table;
    for (const auto device : devices)
        if (const int error = dump(RDMA_NLDEV_CMD_RES_CM_ID_GET, device, parse_cm_ids, table);
            error != 0)
            return fail(int{error});
    return table;
}

Result<Table<QueuePair>, int> Resources::queue_pairs(const std::vector<std::uint32_t>& devices) {
    Table<QueuePair> table;
    for (const auto device : devices)
        if (const int error = dump(RDMA_NLDEV_CMD_RES_QP_GET, device, parse_queue_pairs, table);
            error != 0)
            return fail(int{error});
    return table;
}

} // namespace ubf::rdma
