#include "daemon/ubfctl/table.hpp"

#include <array>
#include <gtest/gtest.h>

namespace ubf::ctl {
namespace {

constexpr std::array<Column, 3> all{{
    {"flow", "", [](const Json& row) { return row.value("flow", std::string()); }},
    {"age", "", [](const Json& row) { return std::to_string(row.value("age", 0)); }, true},
    {"label", "", [](const Json& row) { return row.value("label", std::string()); }, false, false},
}};

std::string names_of(std::string_view list) {
    std::string names;
    for (const auto& column : choose("flows", all, list))
        names += std::string(column.name) + ' ';
    return names;
}

std::string refusal_of(std::string_view list) {
    try {
        names_of(list);
    } catch (const UsageError& error) {
        return error.what();
    }
    return {};
}

TEST(Columns, are_the_usual_ones_if_none_are_chosen) {
    EXPECT_EQ(names_of(""), "flow age ");
}

TEST(Columns, are_those_that_are_chosen_in_that_order) {
    EXPECT_EQ(names_of("label,flow"), "label flow ");
    EXPECT_EQ(names_of("age"), "age ");
}

TEST(Columns, are_added_by_a_plus) {
    EXPECT_EQ(names_of("+label"), "flow age label ");
}

TEST(Columns, that_are_not_there_are_refused_with_those_that_are) {
    for (const auto* list : {"labels", "flow,,age", "flow age", "+x", " flow"}) {
        const auto text = refusal_of(list);
        EXPECT_TRUE(text.starts_with("flows: there is no column '")) << list << ": " << text;
        EXPECT_TRUE(text.ends_with("there are flow, age, label")) << text;
    }
}

TEST(Table, aligns_numbers_right_and_says_nothing_by_a_dash) {
    const std::vector<Json> rows{{{"flow", "a"}, {"age", 5}}, {{"flow", ""}, {"age", 12345}}};
    EXPECT_EQ(to_table(choose("flows", all, "+label"), rows, {}), "FLOW    AGE  LABEL\n"
                                                                  "a         5  -\n"
                                                                  "-     12345  -\n");
    EXPECT_EQ(to_table(choose("flows", all, "flow"), rows, {.headings = false}), "a\n-\n");
}

TEST(Table, has_the_colour_of_a_row_without_a_change_of_its_width) {
    const std::vector<Json> rows{{{"flow", "a"}, {"age", 5}}};
    const TableLook look{true, Paint(true), [](const Json&) { return Ink::good; }};
    EXPECT_EQ(to_table(choose("flows", all, ""), rows, look),
              "\033[1mFLOW  AGE\033[0m\n\033[32ma       5\033[0m\n");
}

TEST(Colours, are_for_a_terminal_that_can_and_for_users_who_do_not_object) {
    EXPECT_TRUE(wants_colour(Colour::automatic, true, nullptr, "xterm"));
    EXPECT_TRUE(wants_colour(Colour::automatic, true, "", "xterm")); // no-color.org: not empty
    EXPECT_FALSE(wants_colour(Colour::automatic, true, "1", "xterm"));
    EXPECT_FALSE(wants_colour(Colour::automatic, false, nullptr, "xterm"));
    EXPECT_FALSE(wants_colour(Colour::automatic, true, nullptr, "dumb"));
    EXPECT_FALSE(wants_colour(Colour::automatic, true, nullptr, nullptr));
    EXPECT_TRUE(wants_colour(Colour::always, false, "1", "dumb"));
    EXPECT_FALSE(wants_colour(Colour::never, true, nullptr, "xterm"));
}

TEST(Pager, is_the_first_that_is_named_or_less_or_none) {
    EXPECT_EQ(pager_of("most", "more"), "most");
    EXPECT_EQ(pager_of(nullptr, "more"), "more");
    EXPECT_EQ(pager_of(nullptr, nullptr), "less");
    EXPECT_EQ(pager_of("", "more"), std::nullopt);
    EXPECT_EQ(pager_of("cat", nullptr), std::nullopt);
}

} // namespace
} // namespace ubf::ctl
