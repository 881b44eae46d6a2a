// Talks to ubfd over its control socket.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <stdexcept>

namespace ubf::ctl {

using Json = nlohmann::ordered_json;

// ubfd can't be reached; exit status EX_UNAVAILABLE.
class Unreachable : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

// ubfd answers, but can't do what it was asked.
class Refused : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

// Throws Unreachable or Refused.
Json ask(const std::filesystem::path& socket, const Json& request);

} // namespace ubf::ctl
