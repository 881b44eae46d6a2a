// The words that `ubfctl flows` and `ubfctl revoke` have in common.
#pragma once

#include "arguments.hpp"
#include "client.hpp"

#include <string>

namespace ubf::ctl {

// --user and --reason.
boost::program_options::options_description filter_options();
// Throws UsageError.
Json request_of(const char* command, const boost::program_options::variables_map& given);

// For standard error; empty if all queues have answered.
std::string note_of_missing(const Json& reply);

} // namespace ubf::ctl
