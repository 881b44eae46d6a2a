#include "owner/process_search.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

namespace ubf {
namespace {

constexpr Uid alice{2001};
constexpr Uid bob{2002};

Holder holder(int pid, Uid uid, Gid gid, std::vector<Gid> groups) {
    return {Pid{pid}, {"program", uid, gid, std::move(groups), Pid{pid}, uid, gid}};
}

SearchResult found(std::vector<Holder> holders) {
    return {std::move(holders), Method::uid_processes, true};
}

TEST(Status, gives_the_effective_ids_and_the_groups) {
    const auto status = parse_status(
        "Name:\tpython3\nUmask:\t0022\nTgid:\t41\nPid:\t42\nUid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\n"
        "Groups:\t10 20 30 \nNStgid:\t1\n");
    ASSERT_TRUE(status);
    EXPECT_EQ(status->comm, "python3");
    EXPECT_EQ(status->uid, Uid{2});
    EXPECT_EQ(status->gid, Gid{6});
    EXPECT_EQ(status->real_uid, Uid{1});
    EXPECT_EQ(status->real_gid, Gid{5});
    EXPECT_EQ(status->process, Pid{41});
    EXPECT_EQ(status->groups, (std::vector<Gid>{Gid{10}, Gid{20}, Gid{30}}));
}

TEST(Status, a_name_that_looks_like_fields_is_a_name) {
    const auto status =
        parse_status("Name:\tx\\nUid:\\t0 \\\\\nUid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\nGroups:\t\n");
    ASSERT_TRUE(status);
    EXPECT_EQ(status->comm, "x\nUid:t0 \\");
    EXPECT_EQ(status->uid, Uid{2});
    EXPECT_TRUE(status->groups.empty());
}

TEST(Status, the_first_line_of_a_name_counts) {
    const auto status =
        parse_status("Name:\tx\nUid:\t1\t2\t3\t4\nUid:\t0\t0\t0\t0\nGid:\t5\t6\t7\t8\n");
    ASSERT_TRUE(status);
    EXPECT_EQ(status->uid, Uid{2});
}

TEST(Status, what_lacks_a_number_is_nothing) {
    for (const char* text : {"", "Name:\tx\n", "Name:\tx\nUid:\t1\t2\n", "Uid:\t1\nGid:\t1\t2\n",
                             "Uid:\t1\tx\t3\nGid:\t1\t2\n", "Uid:\t1\t99999999999\nGid:\t1\t2\n",
                             "Uid:\t1\t-2\nGid:\t1\t2\n", "Uid:\t1\t2\nGid:\t1\t2\nGroups:\t1 x\n"})
        EXPECT_FALSE(parse_status(text)) << text;
}

TEST(Holders, what_all_of_them_have_is_the_sockets) {
    const auto credentials =
        common_credentials(found({holder(7, alice, Gid{5}, {Gid{1}, Gid{2}, Gid{3}}),
                                  holder(8, alice, Gid{5}, {Gid{2}, Gid{3}, Gid{4}})}),
                           alice);
    EXPECT_EQ(credentials.gid, Gid{5});
    EXPECT_EQ(credentials.groups, (std::vector<Gid>{Gid{2}, Gid{3}}));
    EXPECT_EQ(credentials.process.pid, Pid{7});
}

// Each holder took a second when groups were compared one by one.
TEST(Holders, with_as_many_groups_as_the_kernel_allows_are_compared_too) {
    std::vector<Gid> groups;
    for (std::uint32_t gid = 100'000; gid < 165'536; ++gid)
        groups.push_back(Gid{gid});
    auto result = found({});
    for (int pid = 1; pid <= 64; ++pid)
        result.holders.push_back(holder(pid, alice, Gid{5}, groups));
    result.holders.back().status.groups = {Gid{165'535}, Gid{4}, Gid{100'000}};
    EXPECT_EQ(common_credentials(result, alice).groups,
              (std::vector<Gid>{Gid{100'000}, Gid{165'535}}));
}

TEST(Holders, that_differ_in_their_group_have_none_in_whichever_order) {
    const auto one = holder(7, alice, Gid{5}, {});
    const auto other = holder(8, alice, Gid{6}, {});
    EXPECT_FALSE(common_credentials(found({one, other}), alice).gid);
    EXPECT_FALSE(common_credentials(found({other, one}), alice).gid);
}

TEST(Holders, of_another_uid_say_nothing_where_the_owner_holds_it_too) {
    const auto credentials = common_credentials(
        found({holder(6, bob, Gid{9}, {}), holder(7, alice, Gid{5}, {Gid{1}})}), alice);
    EXPECT_EQ(credentials.gid, Gid{5});
    EXPECT_EQ(credentials.process.pid, Pid{7});
}

TEST(Holders, of_another_uid_alone_are_named_but_lend_no_group) {
    const auto credentials = common_credentials(found({holder(6, bob, Gid{9}, {Gid{1}})}), alice);
    EXPECT_FALSE(credentials.gid);
    EXPECT_TRUE(credentials.groups.empty());
    EXPECT_EQ(credentials.process.pid, Pid{6});
}

TEST(Holders, of_which_there_may_be_more_lend_no_group) {
    auto result = found({holder(7, alice, Gid{5}, {Gid{1}})});
    result.complete = false;
    EXPECT_FALSE(common_credentials(result, alice).gid);
}

// One rule for all ways to find a process: a set-group-ID program may have made the socket or
// inherited it.
TEST(Holders, that_are_set_group_id_lend_their_group_to_nothing) {
    auto program = holder(7, alice, Gid{9}, {Gid{1}});
    program.status.real_gid = Gid{5};
    const auto alone = common_credentials(found({program}), alice);
    EXPECT_FALSE(alone.gid);
    EXPECT_EQ(alone.groups, (std::vector<Gid>{Gid{1}})); // the user who started it has this group
    EXPECT_EQ(alone.process.pid, Pid{7});
    for (const Gid gid : {Gid{5}, Gid{9}}) {
        const auto other = holder(8, alice, gid, {Gid{1}});
        EXPECT_FALSE(common_credentials(found({program, other}), alice).gid);
        EXPECT_FALSE(common_credentials(found({other, program}), alice).gid);
    }
}

TEST(Holders, that_are_another_users_by_set_user_id_lend_no_groups) {
    auto program = holder(7, alice, Gid{5}, {Gid{1}});
    program.status.real_uid = bob;
    const auto credentials = common_credentials(found({program}), alice);
    EXPECT_FALSE(credentials.gid);
    EXPECT_TRUE(credentials.groups.empty());
}

TEST(Holders, of_roots_that_work_for_a_user_are_that_users) {
    auto program = holder(7, alice, Gid{5}, {Gid{1}});
    program.status.real_uid = Uid{0};
    EXPECT_EQ(common_credentials(found({program}), alice).gid, Gid{5});
    program.status.real_gid = Gid{0};
    EXPECT_FALSE(common_credentials(found({program}), alice).gid);
}

TEST(Search, finds_the_process_that_holds_a_socket) {
    const ProcessSearch search;
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0); // not a socket: no process holds one of this number
    const std::uint32_t nobodys = 0xffffffff;
    const auto result = search.holders({&nobodys, 1}, Uid{::geteuid()},
                                       ProcessSearch::Clock::now() + std::chrono::seconds(10));
    EXPECT_TRUE(result.holders.empty());
    ::close(ends[0]);
    ::close(ends[1]);
}

TEST(Search, that_has_no_time_is_not_complete) {
    const ProcessSearch search;
    const std::uint32_t inode = 1;
    EXPECT_FALSE(
        search.holders({&inode, 1}, Uid{::geteuid()}, ProcessSearch::Clock::time_point{}).complete);
}

} // namespace
} // namespace ubf
