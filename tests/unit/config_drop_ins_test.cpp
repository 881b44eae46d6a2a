#include "config/config.hpp"

#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

namespace ubf {
namespace {

using testing::HasSubstr;

class DropIns : public testing::Test {
  protected:
    const std::filesystem::path folder =
        std::filesystem::temp_directory_path() / fmt::format("ubf-drop-ins-{}", ::getpid());
    const std::filesystem::path file = folder / "ubfd.toml";

    DropIns() { std::filesystem::create_directories(folder / "ubfd.toml.d"); }
    ~DropIns() override { std::filesystem::remove_all(folder); }
    void write(const std::string& name, const std::string& text) {
        std::ofstream(folder / name) << text;
    }
    std::string error() {
        try {
            load_config(file);
        } catch (const ConfigError& mistake) {
            return mistake.what();
        }
        return "no error";
    }
};

TEST_F(DropIns, set_keys_anew_in_the_order_of_their_names_and_leave_the_others) {
    write("ubfd.toml", "[queue]\nfirst = 4\ncount = 2\n[scope]\nexempt_ports = [1, 2]\n");
    write("ubfd.toml.d/10-role.toml", "[queue]\nfirst = 8\n[policy]\nsame_group = false\n");
    write("ubfd.toml.d/20-site.toml", "[queue]\nfirst = 9\n[scope]\nexempt_ports = [3]\n");
    write("ubfd.toml.d/30-off.toml.bak", "nonsense");
    const auto config = load_config(file);
    EXPECT_EQ(config.queue.first, 9);
    EXPECT_EQ(config.queue.count, 2);
    EXPECT_FALSE(config.policy.same_group);
    ASSERT_EQ(config.scope.exempt_ports.size(), 1u);
    // The text stands for all of them.
    const auto again = parse_config(config.source.text, "f");
    EXPECT_EQ(again.queue.first, 9);
    EXPECT_EQ(again.queue.count, 2);
    EXPECT_TRUE(need_restart(config, again).empty() && decide_alike(config, again));
    const auto where = [&](std::string_view key) {
        for (const auto& setting : all_settings(config))
            if (setting.key == key)
                return setting.value + " " + setting.where;
        return std::string("no such key");
    };
    EXPECT_EQ(where("first"),
              fmt::format("9 {}:2", (folder / "ubfd.toml.d/20-site.toml").string()));
    EXPECT_EQ(where("count"), fmt::format("2 {}:3", file.string()));
    EXPECT_EQ(where("length"), "16384 ");
}

TEST_F(DropIns, have_their_own_names_in_errors) {
    write("ubfd.toml", "[queue]\nfirst = 4\n");
    write("ubfd.toml.d/role.toml", "\n[queue]\nfrist = 8\n");
    EXPECT_THAT(error(), HasSubstr("role.toml:3:1: [queue] has no key 'frist'"));
    write("ubfd.toml.d/role.toml", "\n[queue]\nfirst = -8\n");
    EXPECT_THAT(error(), HasSubstr("role.toml:3:9: queue.first"));
    write("ubfd.toml.d/role.toml", "\n[queue\n");
    EXPECT_THAT(error(), HasSubstr("role.toml:2:"));
    std::filesystem::remove(folder / "ubfd.toml.d/role.toml");
    std::filesystem::create_directory(folder / "ubfd.toml.d/role.toml");
    EXPECT_THAT(error(), HasSubstr("role.toml: can't be read"));
}

TEST_F(DropIns, have_their_own_names_where_keys_contradict_each_other_and_of_unknown_names) {
    write("ubfd.toml", "[peers]\nranges = [\"10.0.0.0/24\"]\n");
    const std::pair<const char*, const char*> mistakes[] = {
        {"\n\n[queue]\ncount = 2\nfirst = 65535\n", "role.toml:5:9: queue.first 65535 and"},
        {"\n[peers]\nunready = [\"10.1.0.1\"]\n", "role.toml:3:11: peers.unready: 10.1.0.1"},
        {"\n[policy]\nrequire_label = true\n", "role.toml:3:17: policy.require_label: nothing"},
        {"[labels.map]\nchem = [\"account:chem\"]\n", "role.toml:1:1: labels.map: accounts"},
        {"\n[ident]\nrequire_certificates = true\n", "role.toml:3:24: ident.require_cert"},
        {"[control]\nsocket = \"/run/a\"\nuser_socket = \"/run/./a\"\n",
         "role.toml:3:15: control.user_socket: /run/a is another socket of ubf already"},
        {"[control]\nsocket = \"/run/portal.sock\"\n", "role.toml:2:10: control.socket: /run/po"},
        {"[portal]\nsocket = \"/run/ubf/user.sock\"\n", "role.toml:2:10: portal.socket: /run/u"},
        {"\n[identity]\nroster = \"/r\"\n", "role.toml:3:10: identity.key: not set"},
        {"\n[identity]\nkey = \"/k\"\n", "role.toml:3:7: identity.key: set, but not"},
    };
    for (const auto& [text, said] : mistakes) {
        write("ubfd.toml.d/role.toml", text);
        EXPECT_THAT(error(), HasSubstr(said));
    }
    write("ubfd.toml.d/role.toml", "\n\n[policy]\nexempt_listeners = [\"nobody-at-all\"]\n"
                                   "[ident]\npush = true\n");
    const auto config = load_config(file, Names::look_up_or_list);
    EXPECT_THAT(config.unknown.names, ElementsAre(HasSubstr("role.toml:4: policy.exempt_li")));
    EXPECT_THAT(config.source.retired, ElementsAre(HasSubstr("take line 6 of " + folder.string() +
                                                             "/ubfd.toml.d/role.toml out")));
}

} // namespace
} // namespace ubf
