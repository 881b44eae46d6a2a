#include "nft/change_notices.hpp"

#include "nft/ruleset.hpp"

#include <array>
#include <cstring>
#include <gtest/gtest.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <string>
#include <vector>

namespace ubf::nft {
namespace {

constexpr std::uint32_t own = 77;

struct Datagram {
    alignas(nlmsghdr) std::array<std::uint8_t, 4096> room{};
    std::size_t size = 0;

    Datagram& add(unsigned type, std::uint32_t port, const char* table) {
        auto* header = mnl_nlmsg_put_header(room.data() + size);
        header->nlmsg_type = static_cast<std::uint16_t>(NFNL_SUBSYS_NFTABLES << 8 | type);
        header->nlmsg_pid = port;
        mnl_nlmsg_put_extra_header(header, sizeof(nfgenmsg));
        if (table != nullptr)
            mnl_attr_put_strz(header, NFTA_TABLE_NAME, table);
        size += header->nlmsg_len;
        return *this;
    }
    bool tells() const { return tells_of_change({room.data(), size}, own); }
};

TEST(ChangeNotices, of_another_program_about_our_table_tell_of_a_change) {
    for (const unsigned type : {NFT_MSG_DELTABLE, NFT_MSG_NEWRULE, NFT_MSG_DELSETELEM})
        EXPECT_TRUE(Datagram().add(type, 5, table_name).tells()) << type;
}

TEST(ChangeNotices, of_our_own_or_about_another_table_do_not) {
    EXPECT_FALSE(Datagram().add(NFT_MSG_NEWSETELEM, own, table_name).tells());
    EXPECT_FALSE(Datagram().add(NFT_MSG_DELTABLE, 5, "site").tells());
    EXPECT_FALSE(Datagram().add(NFT_MSG_DELTABLE, 5, "ubf2").tells());
    EXPECT_FALSE(Datagram().add(NFT_MSG_NEWGEN, 5, nullptr).tells());
    EXPECT_FALSE(Datagram().tells());
}

TEST(ChangeNotices, behind_others_in_a_datagram_are_not_missed) {
    EXPECT_TRUE(Datagram()
                    .add(NFT_MSG_NEWSETELEM, own, table_name)
                    .add(NFT_MSG_NEWRULE, 5, "site")
                    .add(NFT_MSG_DELTABLE, 5, table_name)
                    .tells());
}

TEST(ChangeNotices, that_are_cut_short_are_not_read_past_their_end) {
    const auto whole = Datagram().add(NFT_MSG_DELTABLE, 5, table_name);
    for (std::size_t size = 0; size < whole.size; ++size) {
        const std::vector<std::uint8_t> part(
            whole.room.begin(), whole.room.begin() + static_cast<std::ptrdiff_t>(size));
        EXPECT_FALSE(tells_of_change(part, own)) << size;
    }
}

} // namespace
} // namespace ubf::nft
