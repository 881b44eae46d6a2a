#include "daemon/jobs/job_store.hpp"

#include "base/boot_id.hpp"
#include "base/replace_file.hpp"
#include "daemon/jobs/job_json.hpp"

#include <fmt/format.h>
#include <fstream>
#include <optional>
#include <system_error>

namespace ubf {
namespace {

std::optional<JobStore::Kept> read(const std::filesystem::path& file, const std::string& boot) {
    std::ifstream stream(file);
    const auto json = nlohmann::ordered_json::parse(stream, nullptr, false);
    if (!json.is_object() || json.value("boot", nlohmann::ordered_json()) != boot)
        return std::nullopt;
    auto job = job_of(json);
    if (!job)
        return std::nullopt;
    return JobStore::Kept{std::move(*job), json.value("seen", nlohmann::ordered_json()) == true};
}

} // namespace

JobStore::JobStore(const std::filesystem::path& directory)
  : directory_(directory / "jobs")
  , boot_(read_boot_id()) {}

std::vector<JobStore::Kept> JobStore::load() const {
    std::vector<Kept> all;
    std::vector<std::filesystem::path> stale;
    std::error_code error;
    for (std::filesystem::directory_iterator entry(directory_, error), end; !error && entry != end;
         entry.increment(error)) {
        // A file of another name was not finished: no end of a job would ever remove it.
        auto kept = read(entry->path(), boot_);
        if (kept && entry->path() == file_of(kept->job.id))
            all.push_back(std::move(*kept));
        else
            stale.push_back(entry->path());
    }
    for (const auto& file : stale)
        std::filesystem::remove(file, error);
    return all;
}

void JobStore::save(const Kept& kept) const {
    std::filesystem::create_directories(directory_);
    auto json = to_json(kept.job);
    json["boot"] = boot_;
    json["seen"] = kept.seen;
    const auto file = file_of(kept.job.id);
    if (const auto error = replace_file(file, json.dump() + '\n', Durable::no))
        throw std::system_error(error, "writing " + file.string());
}

void JobStore::remove(std::uint32_t id) const {
    std::error_code ignored;
    std::filesystem::remove(file_of(id), ignored);
}

std::filesystem::path JobStore::file_of(std::uint32_t id) const {
    return directory_ / std::to_string(id);
}

} // namespace ubf
