// A job as JSON: `ubfctl job begin` sends it, and a file on disk keeps it.
#pragma once

#include "base/result.hpp"
#include "label/slurm.hpp"

#include <nlohmann/json.hpp>
#include <string>

namespace ubf {

nlohmann::ordered_json to_json(const Job& job);

// The error names the bad field, for people.
Result<Job, std::string> job_of(const nlohmann::ordered_json& json);

} // namespace ubf
