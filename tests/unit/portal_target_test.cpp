#include "portal/forward.hpp"
#include "portal/target.hpp"

#include <gtest/gtest.h>
#include <vector>

namespace ubf::portal {
namespace {

// The target as text, or the reason of its refusal.
std::string seen(std::string_view text) {
    const auto target = parse_target(text);
    if (!target)
        return target.error().reason;
    if (const auto* endpoint = std::get_if<Endpoint>(&*target))
        return "address " + to_string(*endpoint);
    if (const auto* host = std::get_if<Host>(&*target))
        return "host " + host->name + " " + std::to_string(host->port);
    return "forward " + std::get<Forward>(*target).name;
}

TEST(PortalTarget, addresses_names_and_forwards_are_read) {
    EXPECT_EQ(seen("10.0.0.7:8888"), "address 10.0.0.7:8888");
    EXPECT_EQ(seen("[fd00::7]:8888"), "address [fd00::7]:8888");
    EXPECT_EQ(seen("[FD00::7]:8888"), "address [fd00::7]:8888");
    EXPECT_EQ(seen("Node7:8888"), "host node7 8888");
    EXPECT_EQ(seen("node-7.cluster.example.org:1"), "host node-7.cluster.example.org 1");
    EXPECT_EQ(seen("Results"), "forward results");
}

const std::vector<std::string> forged{
    "",
    ":",
    ":8888",
    "node7:",
    "node7:0",
    "node7:65536",
    "node7:-1",
    "node7:+1",
    "node7:080",
    "node7:8888 ",
    " node7:8888",
    "node7:88 88",
    "node7:8888\r\nHost: x",
    "node7\n:8888",
    std::string("node7\0:8888", 11),
    "node7%00:8888",
    "alice@node7:8888",
    "a@b",
    "..:8888",
    "../x:8888",
    "node7/../x:8888",
    "node7\\x:8888",
    ".node7:8888",
    "node7.:8888",
    "node..7:8888",
    "-node7:8888",
    "node7-:8888",
    "no_de:8888",
    // addresses that readers understand differently
    "167772167:8888",
    "0x0a000007:8888",
    "012.0.0.7:8888",
    "10.7:8888",
    "10.0.0.0x7:8888",
    "10.0.0.7.:8888",
    "010.0.0.7:8888",
    "10.0.0.256:8888",
    "[::ffff:10.0.0.7]:8888",
    "[::ffff:a00:7]:8888",
    "[fd00:0::7]:8888",
    "[fe80::1%eth0]:8888",
    "fd00::7:8888",
    "[10.0.0.7]:8888",
    "[]:8888",
    "[node7]:8888",
    "[[fd00::7]]:8888",
    "[fd00::7]8888",
    // forwards
    "1234",
    "0x7f",
    "a.b",
    "a/b",
    "-a",
    std::string(64, 'a'),
    std::string(254, 'a') + ":80",
};

TEST(PortalTarget, forged_ones_are_malformed) {
    for (const auto& text : forged)
        EXPECT_EQ(seen(text), "malformed") << text;
}

TEST(PortalTarget, places_on_the_portal_or_the_link_are_none) {
    for (const char* text :
         {"localhost:8888", "LocalHost:8888", "x.localhost:8888", "127.0.0.1:8888",
          "127.1.2.3:8888", "[::1]:8888", "0.0.0.0:8888", "[::]:8888", "169.254.169.254:80",
          "[fe80::1]:8888", "224.0.0.1:8888", "255.255.255.255:8888", "[ff02::1]:8888"})
        EXPECT_EQ(seen(text), "not-a-target") << text;
}

TEST(PortalTarget, names_with_a_dot_are_looked_up_in_the_domains_only) {
    const std::vector<std::string> domains{"cluster.example.org", ".other.example"};
    EXPECT_TRUE(is_in("node7", {}));
    EXPECT_TRUE(is_in("node7.cluster.example.org", domains));
    EXPECT_TRUE(is_in("node7.other.example", domains));
    EXPECT_FALSE(is_in("node7.evil.example", domains));
    EXPECT_FALSE(is_in("cluster.example.org", domains));
    EXPECT_FALSE(is_in("evilcluster.example.org", domains));
    EXPECT_FALSE(is_in("node7.x", std::vector<std::string>{""}));
}

TEST(PortalForward, has_one_line) {
    EXPECT_EQ(parse_forward("node7:8888\n").value(), Place(Host{"node7", 8888}));
    for (const char* text : {"", "\n", "node7:8888\n\n", "other", "node7:8888\nnode8:1\n"})
        EXPECT_EQ(parse_forward(text).error().reason, "malformed") << text;
    EXPECT_EQ(parse_forward("127.0.0.1:22").error().reason, "not-a-target");
}

struct stat mode(mode_t mode) {
    struct stat file {};
    file.st_mode = mode;
    file.st_nlink = 1;
    return file;
}

TEST(PortalForward, a_directory_where_others_write_is_sticky) {
    EXPECT_TRUE(keeps_files_apart(mode(S_IFDIR | 0755)));
    EXPECT_TRUE(keeps_files_apart(mode(S_IFDIR | 01777)));
    EXPECT_FALSE(keeps_files_apart(mode(S_IFDIR | 0777)));
    EXPECT_FALSE(keeps_files_apart(mode(S_IFDIR | 0775)));
    EXPECT_FALSE(keeps_files_apart(mode(S_IFREG | 0755)));
    auto owned = mode(S_IFDIR | 0755);
    owned.st_uid = 1000;
    EXPECT_FALSE(keeps_files_apart(owned));
}

TEST(PortalForward, a_file_that_others_write_or_link_is_unsound) {
    EXPECT_TRUE(is_sound_forward(mode(S_IFREG | 0644)));
    EXPECT_FALSE(is_sound_forward(mode(S_IFREG | 0664)));
    EXPECT_FALSE(is_sound_forward(mode(S_IFREG | 0646)));
    EXPECT_FALSE(is_sound_forward(mode(S_IFIFO | 0644)));
    auto linked = mode(S_IFREG | 0644);
    linked.st_nlink = 2;
    EXPECT_FALSE(is_sound_forward(linked));
    auto huge = mode(S_IFREG | 0644);
    huge.st_size = 301;
    EXPECT_FALSE(is_sound_forward(huge));
}

} // namespace
} // namespace ubf::portal
