#include "ident/key.hpp"

#include <gtest/gtest.h>

namespace ubf {
namespace {

const std::string one(64, 'a');
const std::string two(64, 'b');

std::string error_of(const std::string& text) {
    try {
        parse_keys(text, "key");
    } catch (const KeyError& error) {
        return error.what();
    }
    return "";
}

TEST(Keys, the_first_signs_and_the_second_is_accepted) {
    const auto ring =
        parse_keys("# a comment\n\n  ubf-key-1 " + one + "\r\nubf-key-1\t" + two, "key");
    EXPECT_EQ(ring.current.bytes().front(), 0xaa);
    ASSERT_TRUE(ring.previous);
    EXPECT_EQ(ring.previous->bytes().front(), 0xbb);
    EXPECT_NE(ring.current.id(), ring.previous->id());
}

TEST(Keys, a_written_key_reads_as_itself) {
    const auto key = Key::random();
    EXPECT_EQ(parse_keys(format_key(key), "key").current.bytes(), key.bytes());
}

TEST(Keys, what_is_no_key_is_named_by_its_line_and_never_quoted) {
    for (const auto& bad : {"ubf-key-1 " + one.substr(1), "ubf-key-1 " + one + "a",
                            "ubf-key-1" + one, "ubf-key-2 " + one, one,
                            "ubf-key-1 " + std::string(64, 'g'), "ubf-key-1 " + one + " " + two}) {
        const auto error = error_of("\n" + bad + "\n");
        EXPECT_EQ(error.substr(0, 6), "key:2:") << bad;
        EXPECT_EQ(error.find("aaaa"), std::string::npos);
    }
}

TEST(Keys, none_and_three_are_refused) {
    EXPECT_NE(error_of("# nothing\n").find("ubfctl keygen"), std::string::npos);
    const auto line = "ubf-key-1 " + one + "\n";
    EXPECT_EQ(error_of(line + line + line).substr(0, 6), "key:3:");
}

} // namespace
} // namespace ubf
