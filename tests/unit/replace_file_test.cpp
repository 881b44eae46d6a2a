#include "base/replace_file.hpp"

#include <cstdlib>
#include <fstream>
#include <gtest/gtest.h>
#include <iterator>
#include <string>

namespace ubf {
namespace {

namespace fs = std::filesystem;

class ReplaceFile : public testing::Test {
  protected:
    ReplaceFile() { folder_ = ::mkdtemp(name_.data()); }
    ~ReplaceFile() override { fs::remove_all(folder_); }

    static std::string text_of(const fs::path& file) {
        std::ifstream in(file);
        return {std::istreambuf_iterator<char>(in), {}};
    }

    std::string name_ = (fs::temp_directory_path() / "ubf-XXXXXX").string();
    fs::path folder_;
};

TEST_F(ReplaceFile, the_text_is_the_new_one_and_the_file_its_owners_alone) {
    const auto file = folder_ / "file";
    for (const char* text : {"one, which is longer", "two"}) {
        EXPECT_FALSE(replace_file(file, text, Durable::yes));
        EXPECT_EQ(text_of(file), text);
    }
    EXPECT_EQ(fs::status(file).permissions(), fs::perms::owner_read | fs::perms::owner_write);
    EXPECT_FALSE(fs::exists(folder_ / "file.new"));
}

TEST_F(ReplaceFile, a_link_that_lies_in_the_way_is_not_followed) {
    const auto other = folder_ / "other";
    std::ofstream(other) << "of somebody";
    fs::create_symlink(other, folder_ / "file.new");
    EXPECT_FALSE(replace_file(folder_ / "file", "text", Durable::no));
    EXPECT_EQ(text_of(other), "of somebody");
    EXPECT_EQ(text_of(folder_ / "file"), "text");
}

TEST_F(ReplaceFile, the_old_file_stays_if_a_step_fails) {
    const auto file = folder_ / "file";
    fs::create_directories(file / "full");
    EXPECT_EQ(replace_file(file, "text", Durable::no), std::errc::is_a_directory);
    EXPECT_TRUE(fs::exists(file / "full"));
    EXPECT_FALSE(fs::exists(folder_ / "file.new"));
    EXPECT_EQ(replace_file(folder_ / "none/file", "text", Durable::no),
              std::errc::no_such_file_or_directory);
}

} // namespace
} // namespace ubf
