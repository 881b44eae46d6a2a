// A daemon's command line: options only, --help and --version among them.
#pragma once

#include <boost/program_options/options_description.hpp>
#include <functional>
#include <optional>
#include <string_view>

namespace ubf {

struct Program {
    const char* name;
    const char* usage;

    // Writes each line of the text to standard error, behind the name. Returns the code.
    int failure(int code, std::string_view text) const;
    // Runs it to its end. The exit status, of sysexits.h: a ConfigError is EX_CONFIG, and a
    // std::system_error EX_OSERR.
    int run(const std::function<void()>& task) const;
    // Sets the variables of the options, and adds --help and --version to them. An exit status if
    // the program has to end now. more, parts: what --help and --version show below theirs.
    std::optional<int> take_options(int argc, char** argv,
                                    boost::program_options::options_description options,
                                    std::string_view more = {}, std::string_view parts = {}) const;
};

} // namespace ubf
