#include "label/cipso.hpp"
#include "label/label.hpp"
#include "label/label_map.hpp"
#include "label/selinux.hpp"
#include "label/slurm.hpp"

#include <gtest/gtest.h>

namespace ubf {
namespace {

std::string selinux(std::string_view context) {
    const auto level = level_of_context(context);
    if (!level)
        return "malformed";
    const auto label = level->label();
    return label ? to_string(*label) : level->is_plain() ? "none" : "too long";
}

TEST(LabelNames, are_short_and_printable) {
    EXPECT_TRUE(is_label_name("physics"));
    EXPECT_TRUE(is_label_name("s1:c1,c4.c7"));
    EXPECT_TRUE(is_label_name(std::string(64, 'a')));
    EXPECT_FALSE(is_label_name(""));
    EXPECT_FALSE(is_label_name(std::string(65, 'a')));
    for (const auto* name : {"a b", "a\nb", "a\x1b[2J", "a\"", "a'", "a\\", "\xc3\xa4", "\x7f"})
        EXPECT_FALSE(is_label_name(name)) << name;
    EXPECT_FALSE(is_label_name(std::string_view("a\0b", 3)));
}

TEST(LabelText, are_read_as_they_are_written) {
    EXPECT_EQ(parse_label("slurm:physics"), (Label{LabelOrigin::slurm, "physics"}));
    EXPECT_EQ(parse_label("pkey:0x8001"), (Label{LabelOrigin::pkey, "0x8001"}));
    EXPECT_EQ(parse_label("slurm:*"), (Label{LabelOrigin::slurm, "*"}));
    EXPECT_EQ(parse_label("selinux:*"), (Label{LabelOrigin::selinux, "*"}));
    for (const auto* text : {"", "slurm", "slurm:", "Slurm:a", "other:a", "slurm:a b", "selinux:a"})
        EXPECT_FALSE(parse_label(text)) << text;
}

TEST(LabelText, of_selinux_are_the_same_in_whatever_order_they_are_written) {
    const auto label = parse_label("selinux:c1,c2");
    EXPECT_EQ(to_string(*label), "selinux:c1,c2");
    EXPECT_EQ(parse_label("selinux:c2,c1"), label);
    EXPECT_EQ(parse_label("selinux:c1.c2"), label);
    EXPECT_EQ(parse_label("selinux:s0:c1,c2"), label);
    EXPECT_NE(parse_label("selinux:s1:c1,c2"), label);
    EXPECT_EQ(to_string(*parse_label("selinux:c9,c1,c2,c3")), "selinux:c1.c3,c9");
    EXPECT_FALSE(parse_label("selinux:s0")); // every process is at s0
    EXPECT_EQ(to_string(*parse_label("selinux:s3")), "selinux:s3");
}

TEST(Selinux, a_process_works_at_the_lower_level_of_its_range) {
    EXPECT_EQ(selinux("u:r:t:s0:c1,c2"), "selinux:c1,c2");
    EXPECT_EQ(selinux("u:r:t:s0:c1,c2-s0:c0.c1023"), "selinux:c1,c2");
    EXPECT_EQ(selinux("u:r:t:s0-s0:c0.c1023"), "none");
    EXPECT_EQ(selinux("u:r:t:s2:c5"), "selinux:s2:c5");
    EXPECT_EQ(selinux("u:r:t:s2-s3"), "selinux:s2");
}

TEST(Selinux, who_has_no_level_has_no_label) {
    EXPECT_EQ(selinux("u:r:t:s0"), "none");
    EXPECT_EQ(selinux(std::string_view("u:r:t:s0\0", 9)), "none");
    EXPECT_EQ(selinux("u:r:t"), "none");
    EXPECT_EQ(selinux("unconfined\n"), "none"); // AppArmor
    EXPECT_EQ(selinux(""), "none");
}

TEST(Selinux, what_can_not_be_read_is_not_taken_for_none) {
    for (const auto* context :
         {"u:r:t:s0:", "u:r:t:x", "u:r:t:s0:c1,", "u:r:t:s0:c5.c1", "u:r:t:s0:d1", "u:r:t:s0:c1024",
          "u:r:t:s0:c1.c", "u:r:t:s0:c99999999999", "u:r:t:s", "u:r:t:s0:c1 "})
        EXPECT_EQ(selinux(context), "malformed") << context;
    std::string many = "u:r:t:s0:c0";
    for (int i = 2; i < 1000; i += 2)
        many += ",c" + std::to_string(i);
    EXPECT_EQ(selinux(many), "too long");
}

std::string place(std::string_view cgroups) {
    const auto found = slurm_place(cgroups);
    if (!found.in_job)
        return "none";
    return found.job + (found.uid ? " of " + std::to_string(value(*found.uid)) : "");
}

TEST(SlurmPlace, is_read_from_the_hierarchies_of_slurmd) {
    EXPECT_EQ(place("9:name=systemd:/\n6:freezer:/slurm_n1/uid_1004/job_2/step_batch\n0::/\n"),
              "2 of 1004");
    EXPECT_EQ(place("6:freezer:/slurm/uid_1004/job_2/step_extern\n"), "2 of 1004");
    EXPECT_EQ(place("6:cpu,freezer:/slurm/uid_1004/job_2\n"), "2 of 1004");
    EXPECT_EQ(place("0::/system.slice/slurmstepd.scope/job_7/step_0/user/task_0\n"), "7");
    EXPECT_EQ(place("0::/system.slice/n1_slurmstepd.scope/job_7/step_extern/user\n"), "7");
    EXPECT_EQ(place("0::/system.slice/slurmstepd.scope/s955M86ZKG4B00/step_0/user\n"),
              "s955M86ZKG4B00");
    EXPECT_EQ(place("0::/system.slice/slurmstepd.scope/system\n"), "none");
}

TEST(SlurmPlace, is_not_what_a_user_can_make_in_a_subtree_of_his_own) {
    for (const auto* cgroups : {
             "0::/user.slice/user-1004.slice/user@1004.service/system.slice/slurmstepd.scope/job_7",
             "0::/user.slice/slurmstepd.scope/job_7/step_0",
             "0::/system.slice/job_7/step_0",
             "0::/job_7",
             "6:freezer:/user/slurm/uid_1004/job_7",
             "6:freezer:/slurm/job_7",
             "6:freezer:/slurmx/uid_1004/job_7",
             "6:freezer:/slurm/uid_1004/job_",
             "6:freezer:/slurm/uid_1004/job_7x",
             "6:freezer:/slurm/uid_1004/job_-7",
             "6:freezer:/slurm/uid_99999999999/job_7",
             "9:name=systemd:/slurm/uid_1004/job_7/step_0",
             "8:memory:/slurm/uid_1004/job_7/step_0",
             "6:freezer:/../slurm/uid_1004/job_7",
             "6:freezer",
             "",
         })
        EXPECT_EQ(place(cgroups), "none") << cgroups;
}

TEST(SlurmPlace, is_unclear_where_two_hierarchies_contradict_each_other) {
    EXPECT_EQ(place("6:freezer:/slurm/uid_1/job_2/step_0\n"
                    "0::/system.slice/slurmstepd.scope/job_3/step_0\n"),
              "");
    EXPECT_EQ(place("6:freezer:/slurm/uid_1/job_2/step_0\n"
                    "0::/system.slice/slurmstepd.scope/job_2/step_0\n"),
              "2");
}

TEST(LabelMap, is_by_user_group_account_and_partition) {
    const LabelMapping mapping{
        {LabelOrigin::map, "teamx"}, {{Uid{2000}, Uid{2999}}}, {Gid{50}}, {"chem"}, {"gpu"}};
    const std::vector<Gid> groups{Gid{7}, Gid{50}};
    EXPECT_TRUE(mapping.applies(Uid{2500}, {}, nullptr));
    EXPECT_TRUE(mapping.applies(Uid{1}, groups, nullptr));
    EXPECT_FALSE(mapping.applies(Uid{1}, std::span(groups).first(1), nullptr));
    Job job;
    EXPECT_FALSE(mapping.applies(Uid{1}, {}, &job));
    job.account = "chem";
    EXPECT_TRUE(mapping.applies(Uid{1}, {}, &job));
    job = {};
    job.partition = "gpu";
    EXPECT_TRUE(mapping.applies(Uid{1}, {}, &job));
}

// An IPv4 header with these options.
std::string stated(std::vector<std::uint8_t> options) {
    while (options.size() % 4 != 0)
        options.push_back(0);
    std::vector<std::uint8_t> packet(20);
    packet[0] = static_cast<std::uint8_t>(0x45 + options.size() / 4);
    packet.insert(packet.end(), options.begin(), options.end());
    packet.resize(packet.size() + 20);
    const auto found = stated_level(packet);
    if (!found)
        return "nothing";
    if (!found->level)
        return "unreadable";
    const auto label = found->level->label();
    return label ? to_string(*label) : "none";
}

TEST(Cipso, states_the_level_of_the_sender) {
    EXPECT_EQ(stated({134, 11, 0, 0, 0, 16, 1, 5, 0, 0, 0x60}), "selinux:c1,c2");
    EXPECT_EQ(stated({1, 1, 134, 12, 0, 0, 0, 16, 1, 6, 0, 2, 0x80, 0x01}), "selinux:s2:c0,c15");
    EXPECT_EQ(stated({134, 14, 0, 0, 0, 16, 2, 8, 0, 0, 0, 7, 3, 255}), "selinux:c7,c1023");
    EXPECT_EQ(stated({134, 16, 0, 0, 0, 16, 5, 10, 0, 0, 0, 9, 0, 7, 0, 1}), "selinux:c0,c1,c7.c9");
    EXPECT_EQ(stated({134, 10, 0, 0, 0, 16, 1, 4, 0, 0}), "none");
}

TEST(Cipso, is_not_there_or_is_for_the_kernel_alone) {
    EXPECT_EQ(stated({}), "nothing");
    EXPECT_EQ(stated({7, 7, 4, 0, 0, 0, 0}), "nothing"); // record route
    EXPECT_EQ(stated({0, 134, 11, 0, 0, 0, 16, 1, 5, 0, 0, 0x60}), "nothing");
    EXPECT_EQ(stated({134, 12, 0, 0, 0, 16, 128, 6, 0, 0, 0, 1}), "nothing");
    EXPECT_FALSE(stated_level({}));
    const std::vector<std::uint8_t> v6{0x60, 0, 0, 0};
    EXPECT_FALSE(stated_level(v6));
}

TEST(Cipso, that_can_not_be_read_is_not_taken_for_none) {
    EXPECT_EQ(stated({134, 6, 0, 0, 0, 16}), "unreadable");
    EXPECT_EQ(stated({134, 11, 0, 0, 0, 16, 1, 4, 0, 0, 0x60}), "unreadable");
    EXPECT_EQ(stated({134, 11, 0, 0, 0, 16, 9, 5, 0, 0, 0x60}), "unreadable");
    EXPECT_EQ(stated({134, 13, 0, 0, 0, 16, 2, 7, 0, 0, 0, 7, 1}), "unreadable");
    EXPECT_EQ(stated({134, 12, 0, 0, 0, 16, 2, 6, 0, 0, 4, 0}), "unreadable");
    EXPECT_EQ(stated({134, 14, 0, 0, 0, 16, 5, 8, 0, 0, 0, 1, 0, 7}), "unreadable");
    EXPECT_EQ(stated({134, 200, 0, 0}), "unreadable");
    EXPECT_EQ(stated({134, 1, 0, 0}), "unreadable");
}

} // namespace
} // namespace ubf
