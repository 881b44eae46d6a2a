#include "netlink/rdma.hpp"
#include "rdma/ends.hpp"

#include <arpa/inet.h>
#include <cstring>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <random>
#include <rdma/rdma_netlink.h>

namespace ubf::rdma {
namespace {

constexpr std::uint32_t sequence = 7;

// A netlink message, as the kernel lays it out.
class Message {
  public:
    explicit Message(std::uint16_t type, std::uint32_t number = sequence) {
        nlmsghdr header{};
        header.nlmsg_type = type;
        header.nlmsg_seq = number;
        put(&header, sizeof header);
    }
    static Message of(unsigned command, std::uint32_t number = sequence) {
        return Message(static_cast<std::uint16_t>(RDMA_NL_GET_TYPE(RDMA_NL_NLDEV, command)),
                       number);
    }

    template<typename T>
    Message& attribute(std::uint16_t type, const T& value) {
        const auto start = begin(type);
        put(&value, sizeof value);
        return end(start);
    }
    Message& address(std::uint16_t type, const char* text, Port port) {
        sockaddr_storage storage{};
        auto& v4 = reinterpret_cast<sockaddr_in&>(storage);
        auto& v6 = reinterpret_cast<sockaddr_in6&>(storage);
        if (::inet_pton(AF_INET, text, &v4.sin_addr) == 1) {
            v4.sin_family = AF_INET;
            v4.sin_port = htons(port);
        } else {
            EXPECT_EQ(::inet_pton(AF_INET6, text, &v6.sin6_addr), 1);
            v6.sin6_family = AF_INET6;
            v6.sin6_port = htons(port);
            v6.sin6_scope_id = 3;
        }
        return attribute(type, storage);
    }
    std::size_t begin(std::uint16_t type) {
        const nlattr header{0, type};
        put(&header, sizeof header);
        return bytes_.size() - sizeof header;
    }
    Message& end(std::size_t start) {
        const auto length = static_cast<std::uint16_t>(bytes_.size() - start);
        std::memcpy(&bytes_[start], &length, sizeof length);
        bytes_.resize((bytes_.size() + 3) / 4 * 4);
        return *this;
    }
    Message& put(const void* data, std::size_t size) {
        const auto start = bytes_.size();
        bytes_.resize(start + size);
        std::memcpy(bytes_.data() + start, data, size);
        return *this;
    }

    std::vector<std::uint8_t> finish() const {
        auto bytes = bytes_;
        const auto length = static_cast<std::uint32_t>(bytes.size());
        std::memcpy(bytes.data(), &length, sizeof length);
        return bytes;
    }

  private:
    std::vector<std::uint8_t> bytes_;
};

std::vector<std::uint8_t> one_cm_id(const std::function<void(Message&)>& fill) {
    auto message = Message::of(RDMA_NLDEV_CMD_RES_CM_ID_GET);
    message.attribute(RDMA_NLDEV_ATTR_DEV_INDEX, std::uint32_t{2});
    const auto table = message.begin(RDMA_NLDEV_ATTR_RES_CM_ID);
    const auto entry = message.begin(RDMA_NLDEV_ATTR_RES_CM_ID_ENTRY);
    fill(message);
    return message.end(entry).end(table).finish();
}

std::vector<std::uint8_t> connected() {
    return one_cm_id([](Message& message) {
        message.attribute(RDMA_NLDEV_ATTR_PORT_INDEX, std::uint32_t{1})
            .attribute(RDMA_NLDEV_ATTR_RES_LQPN, std::uint32_t{17})
            .attribute(RDMA_NLDEV_ATTR_RES_TYPE, std::uint8_t{2})
            .attribute(RDMA_NLDEV_ATTR_RES_PS, std::uint32_t{0x106})
            .attribute(RDMA_NLDEV_ATTR_RES_STATE, std::uint8_t{5})
            .address(RDMA_NLDEV_ATTR_RES_SRC_ADDR, "10.8.0.1", 58656)
            .address(RDMA_NLDEV_ATTR_RES_DST_ADDR, "10.8.0.2", 7174)
            .attribute(RDMA_NLDEV_ATTR_RES_CM_IDN, std::uint32_t{9})
            .attribute(RDMA_NLDEV_ATTR_RES_PID, std::uint32_t{190});
    });
}

TEST(RdmaTable, a_connected_id_has_its_ends_and_its_maker) {
    const auto part = parse_cm_ids(connected(), sequence);
    EXPECT_FALSE(part.broken);
    EXPECT_FALSE(part.done);
    ASSERT_EQ(part.entries.size(), 1u);
    const auto& id = part.entries[0];
    EXPECT_EQ(id.key, (CmKey{2, 9}));
    EXPECT_EQ(id.state, State::connect);
    EXPECT_EQ(id.port_space, 0x106u);
    EXPECT_EQ(to_string(id.source), "10.8.0.1:58656");
    EXPECT_EQ(to_string(id.destination.value()), "10.8.0.2:7174");
    EXPECT_EQ(id.queue_pair, 17u);
    EXPECT_EQ(id.maker, (Maker{Pid{190}, false}));
}

TEST(RdmaTable, one_that_listens_has_no_other_end) {
    const auto part = parse_cm_ids(one_cm_id([](Message& message) {
                                       message.attribute(RDMA_NLDEV_ATTR_RES_STATE, std::uint8_t{8})
                                           .address(RDMA_NLDEV_ATTR_RES_SRC_ADDR, "fe80::1", 7174)
                                           .address(RDMA_NLDEV_ATTR_RES_DST_ADDR, "::", 0);
                                   }),
                                   sequence);
    ASSERT_EQ(part.entries.size(), 1u);
    EXPECT_EQ(part.entries[0].state, State::listen);
    EXPECT_FALSE(part.entries[0].destination);
    EXPECT_FALSE(part.entries[0].v4);
    EXPECT_EQ(part.entries[0].interface, 3u);
    EXPECT_EQ(part.entries[0].maker, Maker{}); // the process has ended
}

TEST(RdmaTable, what_is_the_kernels_says_so) {
    const auto part =
        parse_cm_ids(one_cm_id([](Message& message) {
                         message.address(RDMA_NLDEV_ATTR_RES_SRC_ADDR, "10.8.0.1", 988)
                             .attribute(RDMA_NLDEV_ATTR_RES_KERN_NAME, std::array{'k', 'o', '\0'});
                     }),
                     sequence);
    ASSERT_EQ(part.entries.size(), 1u);
    EXPECT_EQ(part.entries[0].maker, (Maker{std::nullopt, true}));
}

TEST(RdmaTable, addresses_of_other_families_are_counted_alone) {
    const auto other = [](Message& message) {
        sockaddr_storage address{};
        address.ss_family = AF_IB;
        message.attribute(RDMA_NLDEV_ATTR_RES_SRC_ADDR, address);
    };
    const auto none = [](Message& message) {
        message.attribute(RDMA_NLDEV_ATTR_RES_STATE, std::uint8_t{0});
    };
    const auto mixed = [](Message& message) {
        message.address(RDMA_NLDEV_ATTR_RES_SRC_ADDR, "10.8.0.1", 1)
            .address(RDMA_NLDEV_ATTR_RES_DST_ADDR, "fd00::1", 2);
    };
    for (const auto& bytes : {one_cm_id(other), one_cm_id(none), one_cm_id(mixed)}) {
        const auto part = parse_cm_ids(bytes, sequence);
        EXPECT_TRUE(part.entries.empty());
        EXPECT_EQ(part.skipped, 1u);
        EXPECT_FALSE(part.broken);
    }
}

TEST(RdmaTable, a_malformed_number_breaks_it) {
    for (const std::uint16_t type : {RDMA_NLDEV_ATTR_RES_PID, RDMA_NLDEV_ATTR_RES_CM_IDN,
                                     RDMA_NLDEV_ATTR_RES_LQPN, RDMA_NLDEV_ATTR_RES_PS}) {
        const auto bytes =
            one_cm_id([&](Message& message) { message.attribute(type, std::uint16_t{1}); });
        EXPECT_TRUE(parse_cm_ids(bytes, sequence).broken) << type;
    }
    for (const std::uint32_t pid : {0u, 0x80000000u, 0xffffffffu})
        EXPECT_TRUE(parse_cm_ids(one_cm_id([&](Message& message) {
                                     message.attribute(RDMA_NLDEV_ATTR_RES_PID, pid);
                                 }),
                                 sequence)
                        .broken);
}

TEST(RdmaTable, queue_pairs_have_a_type_and_a_state) {
    auto message = Message::of(RDMA_NLDEV_CMD_RES_QP_GET);
    message.attribute(RDMA_NLDEV_ATTR_DEV_INDEX, std::uint32_t{2});
    const auto table = message.begin(RDMA_NLDEV_ATTR_RES_QP);
    for (const std::uint8_t type : {std::uint8_t{2}, std::uint8_t{4}}) {
        const auto entry = message.begin(RDMA_NLDEV_ATTR_RES_QP_ENTRY);
        message.attribute(RDMA_NLDEV_ATTR_RES_LQPN, std::uint32_t{type})
            .attribute(RDMA_NLDEV_ATTR_RES_TYPE, type)
            .attribute(RDMA_NLDEV_ATTR_RES_STATE, std::uint8_t{3})
            .attribute(RDMA_NLDEV_ATTR_RES_PID, std::uint32_t{190})
            .end(entry);
    }
    const auto part = parse_queue_pairs(message.end(table).finish(), sequence);
    ASSERT_EQ(part.entries.size(), 2u);
    EXPECT_TRUE(part.entries[0].is_connected());
    EXPECT_EQ(part.entries[0].device, 2u);
    EXPECT_FALSE(part.entries[1].is_connected()); // datagrams have no other end
}

TEST(RdmaTable, devices_are_listed_and_the_end_is_seen) {
    auto bytes = Message::of(RDMA_NLDEV_CMD_GET)
                     .attribute(RDMA_NLDEV_ATTR_DEV_INDEX, std::uint32_t{4})
                     .finish();
    const auto done = Message(NLMSG_DONE).put("\0\0\0", 4).finish();
    bytes.insert(bytes.end(), done.begin(), done.end());
    const auto part = parse_devices(bytes, sequence);
    EXPECT_EQ(part.entries, std::vector<std::uint32_t>{4});
    EXPECT_TRUE(part.done);
    EXPECT_FALSE(part.broken);
}

TEST(RdmaTable, the_answer_to_another_request_is_passed_over) {
    EXPECT_TRUE(parse_cm_ids(connected(), sequence + 1).entries.empty());
    EXPECT_TRUE(parse_queue_pairs(connected(), sequence).entries.empty());
}

TEST(RdmaTable, an_error_of_the_kernel_breaks_it) {
    nlmsgerr error{};
    error.error = -EPERM;
    const auto part =
        parse_cm_ids(Message(NLMSG_ERROR).put(&error, sizeof error).finish(), sequence);
    EXPECT_TRUE(part.done);
    EXPECT_TRUE(part.broken);
    EXPECT_TRUE(parse_cm_ids(Message(NLMSG_ERROR).finish(), sequence).broken);
}

// No input makes the parser read beyond the end; the sanitizers would tell.
TEST(RdmaTable, truncated_and_random_bytes_do_no_harm) {
    const auto whole = connected();
    for (std::size_t size = 0; size < whole.size(); ++size) {
        const std::vector<std::uint8_t> part(whole.begin(),
                                             whole.begin() + static_cast<std::ptrdiff_t>(size));
        EXPECT_TRUE(parse_cm_ids(part, sequence).entries.empty());
    }
    std::mt19937 random(1);
    for (int round = 0; round < 20000; ++round) {
        auto bytes = whole;
        for (int change = 0; change < 4; ++change)
            bytes[random() % bytes.size()] = static_cast<std::uint8_t>(random());
        static_cast<void>(parse_cm_ids(bytes, sequence));
        static_cast<void>(parse_queue_pairs(bytes, sequence));
        static_cast<void>(parse_devices(bytes, sequence));
    }
}

CmId id(State state, const char* source, const char* destination = nullptr,
        std::uint32_t number = 1) {
    CmId result;
    result.key = {1, number};
    result.state = state;
    result.port_space = 0x106;
    result.source = *Endpoint::parse(source);
    result.v4 = source[0] != '[';
    if (destination != nullptr)
        result.destination = Endpoint::parse(destination);
    return result;
}

struct Ends : testing::Test {
    Listeners listeners;
    CmId connection = id(State::connect, "10.0.0.2:7174", "10.0.0.1:40000", 5);

    bool listens(const CmId& listener) {
        listeners = {};
        listeners.add(listener);
        return listeners.of(connection) == listener.key;
    }
};

TEST_F(Ends, who_has_the_address_of_one_that_listens_is_the_listeners) {
    EXPECT_TRUE(listens(id(State::listen, "10.0.0.2:7174")));
    EXPECT_TRUE(listens(id(State::listen, "0.0.0.0:7174")));
    EXPECT_TRUE(listens(id(State::listen, "[::]:7174")));
}

TEST_F(Ends, everybody_else_is_the_connectors) {
    EXPECT_FALSE(listens(id(State::listen, "10.0.0.3:7174")));
    EXPECT_FALSE(listens(id(State::listen, "10.0.0.2:7175")));
    EXPECT_FALSE(listens(id(State::address_bound, "10.0.0.2:7174")));
    EXPECT_FALSE(listens(id(State::connect, "10.0.0.2:7174", "10.0.0.1:40001")));
    auto other_space = id(State::listen, "10.0.0.2:7174");
    other_space.port_space = 0x111;
    EXPECT_FALSE(listens(other_space));
    connection = id(State::connect, "[fd00::2]:7174", "[fd00::1]:40000", 5);
    EXPECT_FALSE(listens(id(State::listen, "0.0.0.0:7174")));
    EXPECT_TRUE(listens(id(State::listen, "[::]:7174")));
}

TEST_F(Ends, a_flow_goes_from_the_connector_to_the_listener) {
    EXPECT_EQ(to_string(flow_of(connection, End::listener)),
              "rdma 10.0.0.1:40000 -> 10.0.0.2:7174");
    EXPECT_EQ(to_string(flow_of(connection, End::connector)),
              "rdma 10.0.0.2:7174 -> 10.0.0.1:40000");
    EXPECT_TRUE(is_connection(connection));
    EXPECT_FALSE(is_connection(id(State::listen, "10.0.0.2:7174")));
    EXPECT_FALSE(is_connection(id(State::disconnect, "10.0.0.2:7174", "10.0.0.1:40000")));
}

} // namespace
} // namespace ubf::rdma
