#include "config/key_file.hpp"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <string>
#include <sys/stat.h>

namespace ubf {
namespace {

class KeyFileTest : public ::testing::Test {
  protected:
    void SetUp() override {
        std::string name = std::filesystem::temp_directory_path() / "ubf-key-XXXXXX";
        ASSERT_NE(::mkdtemp(name.data()), nullptr);
        folder_ = name;
    }
    void TearDown() override { std::filesystem::remove_all(folder_); }

    std::filesystem::path write(mode_t mode) const {
        const auto file = folder_ / "ident.key";
        std::ofstream(file) << "ubf-key-1 " << std::string(64, 'a') << '\n';
        ::chmod(file.c_str(), mode);
        return file;
    }

    std::filesystem::path folder_;
};

TEST_F(KeyFileTest, a_credential_takes_precedence_of_the_default_alone) {
    const auto file = write(0600);
    const auto silent = parse_config("", "test");
    EXPECT_EQ(key_file(silent, folder_).path, file);
    EXPECT_TRUE(key_file(silent, folder_).is_credential);
    // The same file as the default, but named.
    const auto named = parse_config("[ident]\nkey_file = \"/etc/ubf/ident.key\"\n", "test");
    EXPECT_EQ(key_file(named, folder_).path, "/etc/ubf/ident.key");
    EXPECT_FALSE(key_file(named, folder_).is_credential);
}

TEST_F(KeyFileTest, without_a_credential_it_is_the_default) {
    const auto silent = parse_config("", "test");
    EXPECT_EQ(key_file(silent, folder_).path, "/etc/ubf/ident.key");
    EXPECT_EQ(key_file(silent, std::nullopt).path, "/etc/ubf/ident.key");
    EXPECT_FALSE(key_file(silent, folder_).is_credential);
}

// systemd's ACL for the service's user shows as the mode of the group.
TEST_F(KeyFileTest, a_credential_may_have_the_mode_that_an_acl_shows_and_a_file_may_not) {
    const auto file = write(0440);
    EXPECT_NO_THROW(load_keys({file, true}));
    EXPECT_THROW(load_keys({file, false}), KeyError);
    ::chmod(file.c_str(), 0444);
    EXPECT_THROW(load_keys({file, true}), KeyError);
}

} // namespace
} // namespace ubf
