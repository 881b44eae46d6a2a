#include "base/lines.hpp"

#include <gtest/gtest.h>

namespace ubf {
namespace {

TEST(Lines, a_line_is_whole_when_its_last_piece_has_come) {
    Lines lines;
    lines.add("re");
    lines.add("");
    lines.add("quest");
    EXPECT_FALSE(lines.has_one());
    EXPECT_EQ(lines.take(), std::nullopt);
    EXPECT_EQ(lines.size(), 7U);
    lines.add("\nne");
    EXPECT_TRUE(lines.has_one());
    EXPECT_EQ(lines.take(), "request");
    EXPECT_EQ(lines.take(), std::nullopt);
    lines.add("xt\n");
    EXPECT_EQ(lines.take(), "next");
    EXPECT_EQ(lines.size(), 0U);
}

TEST(Lines, a_piece_may_have_several_lines) {
    Lines lines;
    lines.add("1\n\n2\n3");
    lines.add("4\n");
    for (const char* line : {"1", "", "2", "34"})
        EXPECT_EQ(lines.take(), line);
    EXPECT_FALSE(lines.has_one());
}

} // namespace
} // namespace ubf
