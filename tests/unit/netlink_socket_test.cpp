#include "netlink/socket.hpp"

#include <array>
#include <cerrno>
#include <cstring>
#include <gtest/gtest.h>
#include <linux/netlink.h>
#include <optional>
#include <sys/socket.h>
#include <utility>
#include <vector>

namespace ubf {
namespace {

// The test puts into the socket what the kernel would.
class Acknowledgement : public testing::Test {
  protected:
    Acknowledgement() {
        std::array<int, 2> ends{};
        EXPECT_EQ(::socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, ends.data()), 0);
        socket_.emplace(UniqueFd(ends[0]));
        kernel_ = UniqueFd(ends[1]);
    }

    void put(std::uint16_t type, std::uint32_t sequence, int error) {
        struct {
            nlmsghdr header;
            nlmsgerr body;
        } message{};
        message.header.nlmsg_len = sizeof message;
        message.header.nlmsg_type = type;
        message.header.nlmsg_seq = sequence;
        message.body.error = error;
        ASSERT_EQ(::send(kernel_.get(), &message, sizeof message, 0), ssize_t{sizeof message});
    }

    int receive(std::uint32_t sequence) {
        return socket_->receive_acknowledgement(
            sequence,
            [this](std::span<const std::uint8_t> bytes) { others_.push_back(bytes.size()); });
    }

    std::optional<NetlinkSocket> socket_;
    UniqueFd kernel_;
    std::vector<std::size_t> others_;
};

constexpr std::uint16_t packet = 3 << 8; // NFNL_SUBSYS_QUEUE, NFQNL_MSG_PACKET

TEST_F(Acknowledgement, ComesAfterPacketsWhichGoToTheCaller) {
    put(packet, 0, 1);
    put(packet, 0, 1);
    put(NLMSG_ERROR, 7, 0);
    put(packet, 0, 1);
    EXPECT_EQ(receive(7), 0);
    EXPECT_EQ(others_.size(), 2);
    EXPECT_EQ(others_.front(), sizeof(nlmsghdr) + sizeof(nlmsgerr));
}

TEST_F(Acknowledgement, OfAnEarlierRequestIsNotTaken) {
    put(NLMSG_ERROR, 6, -EPERM);
    put(NLMSG_ERROR, 7, -EBUSY);
    EXPECT_EQ(receive(7), EBUSY);
}

TEST_F(Acknowledgement, ThatDoesNotComeIsAnError) {
    put(packet, 7, 0); // the number alone doesn't make it one
    EXPECT_EQ(receive(7), EAGAIN);
}

TEST_F(Acknowledgement, ThatIsCutShortIsAnError) {
    ASSERT_EQ(::send(kernel_.get(), "", 1, 0), 1);
    EXPECT_EQ(receive(7), EBADMSG);
}

} // namespace
} // namespace ubf
