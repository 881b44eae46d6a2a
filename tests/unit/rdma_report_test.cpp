#include "rdma/report.hpp"

#include "base/json.hpp"

#include <gtest/gtest.h>
#include <random>
#include <string>

namespace ubf::rdma {
namespace {

using Json = nlohmann::ordered_json;

Json parse(const std::string& line) {
    return Json::parse(line, nullptr, false);
}

Report full() {
    Report report{0xfedcba9876543210u, true, "active", 3, 1, 2};
    Connection ours;
    ours.key = {2, 0xffffffff};
    ours.port_space = 0x106;
    ours.ours = *Endpoint::parse("10.0.0.1:40000");
    ours.theirs = *Endpoint::parse("10.0.0.2:7174");
    ours.established = true;
    Holder process{
        Pid{71},
        {"rp\"ing\n", Uid{4294967294u}, Gid{2}, {Gid{2}, Gid{3}}, Pid{70}, Uid{1}, Gid{2}}};
    process.cgroups = "0::/a\n";
    process.context = std::string("user_u:s0\0", 10);
    ours.process = process;
    Connection kernels;
    kernels.key = {2, 1};
    kernels.ours = *Endpoint::parse("[fe80::1]:988");
    kernels.theirs = *Endpoint::parse("[fe80::2]:1021");
    kernels.interface = 3;
    kernels.end = End::listener;
    kernels.connected = false;
    kernels.old = kernels.kernel = true;
    report.connections = {ours, kernels};
    report.gone = {{2, 7}};
    report.outcomes = {{{2, 8}, true, "killed"}, {{2, 9}, false, "not"}};
    return report;
}

TEST(RdmaReport, what_is_reported_is_heard) {
    const auto json = parse(to_line(to_json(full())));
    const auto heard = to_report(json);
    ASSERT_TRUE(heard);
    EXPECT_EQ(to_json(*heard), to_json(full()));
    EXPECT_EQ(parse(to_line(to_json(*heard))), json);
    ASSERT_EQ(heard->connections.size(), 2u);
    const auto& ours = heard->connections[0];
    EXPECT_EQ(to_string(ours.way_out()), "rdma 10.0.0.1:40000 -> 10.0.0.2:7174");
    ASSERT_TRUE(ours.process);
    EXPECT_EQ(ours.process->status.comm, "rp\"ing\n");
    EXPECT_EQ(ours.process->status.uid, Uid{4294967294u});
    EXPECT_EQ(ours.process->context, std::string("user_u:s0\0", 10));
    EXPECT_FALSE(heard->connections[1].process);
    EXPECT_EQ(heard->connections[1].end, End::listener);
}

TEST(RdmaReport, orders_are_heard) {
    const auto heard = to_orders(parse(to_line(to_json(Orders{true, {{2, 7}, {3, 1}}}))));
    ASSERT_TRUE(heard);
    EXPECT_TRUE(heard->look);
    EXPECT_EQ(heard->end, (std::vector<CmKey>{{2, 7}, {3, 1}}));
    EXPECT_FALSE(to_orders(Json{{"ok", false}, {"look", true}, {"end", Json::array()}}));
    EXPECT_FALSE(to_orders(Json{{"ok", true}, {"look", true}, {"end", {1}}}));
    EXPECT_FALSE(to_orders(Json::array()));
}

// No field can be left out, and none can be of another kind.
void spoil(const Json& whole, const Json::json_pointer& at) {
    const auto& object = whole[at];
    for (const auto& [key, value] : object.items()) {
        if (key == "command" || key == "process")
            continue;
        auto without = whole;
        without[at].erase(key);
        EXPECT_FALSE(to_report(without)) << at / key;
        for (const auto& other : {Json(-1), Json(1.5), Json(nullptr), Json("x"),
                                  Json::array({Json::array()}), Json(0x1'0000'0000'0000)}) {
            const bool same_kind = (value.is_string() && key != "ours" && key != "theirs" &&
                                    key != "end" && other.is_string()) ||
                                   (value.is_number() && value.get<std::uint64_t>() <= 3 &&
                                    at.empty() && other.is_number_unsigned()) ||
                                   (key == "session" && other.is_number_unsigned());
            auto changed = whole;
            changed[at][key] = other;
            if (!same_kind && value.type() != other.type()) {
                EXPECT_FALSE(to_report(changed)) << at / key << " = " << other;
            }
        }
    }
}

TEST(RdmaReport, a_field_that_is_missing_or_malformed_is_refused) {
    const auto whole = parse(to_line(to_json(full())));
    for (const char* at : {"", "/connections/0", "/connections/0/process", "/connections/1",
                           "/gone/0", "/outcomes/0"})
        spoil(whole, Json::json_pointer(at));
    EXPECT_FALSE(to_report(Json{}));
    EXPECT_FALSE(to_report(Json::array()));
}

TEST(RdmaReport, ends_of_two_families_are_refused) {
    auto json = parse(to_line(to_json(full())));
    json["connections"][0]["theirs"] = "[fd00::1]:1";
    EXPECT_FALSE(to_report(json));
}

TEST(RdmaReport, whatever_bytes_a_process_is_named_the_line_is_one_line) {
    auto report = full();
    report.connections[0].process->status.comm = "\xff\xfe\n\0x";
    const auto line = to_line(to_json(report));
    EXPECT_EQ(line.find('\n'), line.size() - 1);
    EXPECT_TRUE(to_report(parse(line)));
}

TEST(RdmaReport, random_changes_do_no_harm) {
    const auto line = to_line(to_json(full()));
    std::mt19937 random(1);
    for (int round = 0; round < 5000; ++round) {
        auto changed = line;
        for (int change = 0; change < 3; ++change)
            changed[random() % changed.size()] = "{}[]\",:-19eE.xt"[random() % 15];
        if (const auto json = parse(changed); json.is_object())
            static_cast<void>(to_report(json));
    }
}

} // namespace
} // namespace ubf::rdma
