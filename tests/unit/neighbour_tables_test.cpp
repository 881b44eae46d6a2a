#include "daemon/neighbour_tables.hpp"

#include <gtest/gtest.h>

namespace ubf {
namespace {

TEST(NeighbourTables, that_were_full_are_counted_over_all_cpus) {
    EXPECT_EQ(times_full("entries  allocs   table_fulls\n"
                         "0000000f 0000515e 00000010\n"
                         "0000000f 000046c6 00000001\n"),
              0x11u);
}

TEST(NeighbourTables, are_read_by_the_names_of_columns) {
    EXPECT_EQ(times_full("table_fulls entries more\n0000000a 000000ff 000000ff\n"), 10u);
}

TEST(NeighbourTables, of_another_kernel_say_nothing) {
    EXPECT_EQ(times_full(""), 0u);
    EXPECT_EQ(times_full("entries allocs\n00000001 00000002\n"), 0u);
    EXPECT_EQ(times_full("entries table_fulls\n00000001\n"), 0u);
}

} // namespace
} // namespace ubf
