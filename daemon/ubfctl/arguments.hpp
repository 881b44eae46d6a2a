// Parses the words behind a subcommand. Options can't be abbreviated, so that a slip is not taken
// for another option.
#pragma once

#include "command.hpp"

#include <boost/program_options.hpp>
#include <chrono>
#include <filesystem>
#include <optional>
#include <string_view>

namespace ubf::ctl {

inline constexpr int option_style = boost::program_options::command_line_style::unix_style &
                                    ~boost::program_options::command_line_style::allow_guessing;

// Throws UsageError, which names the command.
boost::program_options::variables_map
parse(std::string_view command, const Arguments& arguments,
      const boost::program_options::options_description& options,
      const boost::program_options::positional_options_description& positions = {});

// --watch[=SECONDS], and the pause that it asks for.
void add_watch(boost::program_options::options_description& options);
std::optional<std::chrono::seconds> watch_of(std::string_view command,
                                             const boost::program_options::variables_map& given);

// The one argument of a command: a file, or the default.
std::filesystem::path file_argument(std::string_view command, const Arguments& arguments,
                                    const char* otherwise);

} // namespace ubf::ctl
