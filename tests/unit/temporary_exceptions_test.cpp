#include "config/exception_text.hpp"
#include "daemon/temporary_exceptions.hpp"

#include <chrono>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <iterator>
#include <string>
#include <unistd.h>

namespace ubf {
namespace {

using testing::HasSubstr;
using testing::SizeIs;

class ExceptionsForAWhile : public testing::Test {
  protected:
    void TearDown() override { std::filesystem::remove(file_); }

    void write(const std::string& text) const { std::ofstream(file_) << text; }
    std::string read() const {
        std::ifstream in(file_);
        return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
    }

    const std::filesystem::path file_ =
        std::filesystem::temp_directory_path() / fmt::format("exceptions-{}.json", ::getpid());
    const TemporaryExceptions::Time now_{std::chrono::seconds(1'800'000'000)};
    const std::chrono::hours span_{2};
};

TEST_F(ExceptionsForAWhile, outlive_a_restart_while_nobody_knows_the_names) {
    TemporaryExceptions before;
    EXPECT_FALSE(before.begin(file_, now_));
    ASSERT_TRUE(before.add("root>root tcp/8786@10.0.0.2", "", span_, now_));
    ASSERT_TRUE(before.add("1000-1999>root udp/1-2", "", span_, now_));
    EXPECT_FALSE(before.save());
    auto text = read();
    for (auto at = text.find("root>"); at != std::string::npos; at = text.find("root>"))
        text.replace(at, 5, "nobody-at-all>");
    write(text);

    TemporaryExceptions after;
    EXPECT_EQ(after.begin(file_, now_), std::nullopt);
    EXPECT_EQ(after.all(), before.all());
    EXPECT_TRUE(after.remove("nobody-at-all>root tcp/8786@10.0.0.2"));
}

TEST_F(ExceptionsForAWhile, are_made_without_a_question_where_the_uids_are_known) {
    TemporaryExceptions exceptions;
    const auto made = exceptions.add("nobody-at-all>root tcp/8786@10.0.0.2",
                                     "1001-1001>0-0 tcp/8786@10.0.0.2", span_, now_);
    ASSERT_TRUE(made) << made.error();
    EXPECT_EQ(made->exception, parse_exception("1001>0 tcp/8786@10.0.0.2"));
    EXPECT_FALSE(exceptions.add("nobody-at-all>root tcp/8786", "", span_, now_));
}

TEST_F(ExceptionsForAWhile, of_an_older_version_go_by_their_names) {
    write("[{\"allow\":\"root>1002 tcp/8786\",\"until_s\":1800000060}]\n");
    TemporaryExceptions after;
    EXPECT_EQ(after.begin(file_, now_), std::nullopt);
    EXPECT_THAT(after.all(), SizeIs(1));
}

TEST_F(ExceptionsForAWhile, that_are_lost_are_named) {
    write("[{\"allow\":\"nobody-at-all>1002 tcp/8786\",\"until_s\":1800000060},"
          "{\"allow\":\"1001>1002 tcp/8787\",\"until_s\":1900000000},"
          "{\"allow\":\"nobody-at-all>1002 tcp/8788\",\"until_s\":1799999999}]\n");
    TemporaryExceptions after;
    const auto mistake = after.begin(file_, now_).value_or("");
    EXPECT_THAT(mistake, HasSubstr("'nobody-at-all>1002 tcp/8786' of before the restart is lost: "
                                   "policy.allow: the user database knows no user"));
    EXPECT_THAT(mistake, HasSubstr("'1001>1002 tcp/8787' of before the restart is lost: it would"));
    EXPECT_THAT(mistake, testing::Not(HasSubstr("8788"))); // it is over
    EXPECT_THAT(after.all(), SizeIs(0));
}

} // namespace
} // namespace ubf
