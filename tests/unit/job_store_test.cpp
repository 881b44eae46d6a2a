#include "daemon/jobs/job_store.hpp"

#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

namespace ubf {
namespace {

using testing::IsEmpty;
using testing::SizeIs;

class JobStoreTest : public testing::Test {
  protected:
    void TearDown() override { std::filesystem::remove_all(folder_); }

    static Job job(std::uint32_t id) { return {id, "", Uid{1001}, "physics", "", ""}; }

    const std::filesystem::path folder_ =
        std::filesystem::temp_directory_path() / fmt::format("ubf-jobs-{}", ::getpid());
    const JobStore store_{folder_};
};

TEST_F(JobStoreTest, keeps_what_was_saved) {
    store_.save({job(7), true});
    store_.save({job(8), false});
    store_.remove(8);
    const auto kept = store_.load();
    ASSERT_THAT(kept, SizeIs(1));
    EXPECT_EQ(kept.front().job, job(7));
    EXPECT_TRUE(kept.front().seen);
}

TEST_F(JobStoreTest, a_file_that_was_not_finished_brings_no_job_back) {
    store_.save({job(7), false});
    const auto files = folder_ / "jobs";
    std::filesystem::copy(files / "7", files / "7.new"); // ubfd died before it took the name
    store_.remove(7);
    EXPECT_THAT(store_.load(), IsEmpty());
    EXPECT_TRUE(std::filesystem::is_empty(files));
}

TEST_F(JobStoreTest, what_is_no_job_of_this_boot_is_removed) {
    store_.save({job(7), false});
    std::ofstream(folder_ / "jobs" / "8") << "{\"boot\": \"another\", \"job\": 8, \"uid\": 1}";
    std::ofstream(folder_ / "jobs" / "9") << "[[[";
    EXPECT_THAT(store_.load(), SizeIs(1));
    EXPECT_THAT(store_.load(), SizeIs(1));
    EXPECT_FALSE(std::filesystem::exists(folder_ / "jobs" / "9"));
}

} // namespace
} // namespace ubf
