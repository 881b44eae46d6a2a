// A job as JSON: what `ubfctl job begin` sends, and what is kept on disk.
#pragma once

#include "base/result.hpp"
#include "label/slurm.hpp"

#include <nlohmann/json.hpp>
#include <string>

namespace ubf {

nlohmann::ordered_json to_json(const Job& job);

// The error says, for people, which field is not as it must be.
Result<Job, std::string> job_of(const nlohmann::ordered_json& json);

} // namespace ubf
