#include "daemon/owners/owner_record.hpp"

#include <algorithm>
#include <gtest/gtest.h>

namespace ubf {
namespace {

constexpr Uid alice{2001};

ubf_owner_record record_of(Uid uid, Gid gid, std::initializer_list<std::uint32_t> groups = {}) {
    ubf_owner_record record{};
    record.uid = record.euid = value(uid);
    record.gid = record.egid = value(gid);
    record.pid = 7;
    record.group_count = static_cast<std::uint32_t>(groups.size());
    std::ranges::copy(groups, record.groups);
    std::ranges::copy("python3", record.comm);
    return record;
}

TEST(Record, says_which_process_it_was_and_under_which_groups) {
    const auto process = maker_of(record_of(alice, Gid{5}, {1, 2}), alice);
    ASSERT_TRUE(process);
    EXPECT_EQ(process->pid, Pid{7});
    EXPECT_EQ(process->status.comm, "python3");
    EXPECT_EQ(process->status.uid, alice);
    EXPECT_EQ(process->status.gid, Gid{5});
    EXPECT_EQ(process->status.groups, (std::vector<Gid>{Gid{1}, Gid{2}}));
}

TEST(Record, of_another_user_than_the_sockets_says_nothing) {
    EXPECT_FALSE(maker_of(record_of(Uid{2002}, Gid{5}), alice));
    EXPECT_FALSE(maker_of(record_of(Uid{0}, Gid{0}), alice));
}

TEST(Record, of_a_program_under_another_user_or_group_than_its_own_says_nothing) {
    auto set_user_id = record_of(alice, Gid{5});
    set_user_id.uid = 2002;
    EXPECT_FALSE(maker_of(set_user_id, alice));
    auto set_group_id = record_of(alice, Gid{5});
    set_group_id.gid = 6;
    EXPECT_FALSE(maker_of(set_group_id, alice));
}

TEST(Record, of_more_groups_than_it_holds_says_nothing) {
    auto record = record_of(alice, Gid{5});
    record.group_count = UBF_RECORD_GROUPS;
    EXPECT_TRUE(maker_of(record, alice));
    record.group_count = UBF_RECORD_GROUPS + 1;
    EXPECT_FALSE(maker_of(record, alice));
    record.group_count = 0xffffffff;
    EXPECT_FALSE(maker_of(record, alice));
}

TEST(Record, a_name_is_any_bytes_up_to_the_first_0) {
    auto record = record_of(alice, Gid{5});
    std::ranges::fill(record.comm, 'x');
    EXPECT_EQ(maker_of(record, alice)->status.comm, std::string(UBF_RECORD_COMM, 'x'));
    record.comm[0] = '\0';
    EXPECT_EQ(maker_of(record, alice)->status.comm, "");
}

} // namespace
} // namespace ubf
