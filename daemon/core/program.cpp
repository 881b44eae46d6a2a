#include "daemon/core/program.hpp"

#include "base/text.hpp"
#include "base/version.hpp"
#include "config/config.hpp"

#include <boost/program_options.hpp>
#include <exception>
#include <fmt/format.h>
#include <iostream>
#include <sysexits.h>
#include <system_error>

namespace ubf {

namespace po = boost::program_options;

int Program::failure(int code, std::string_view text) const {
    while (!text.empty())
        std::cerr << name << ": " << split(text, '\n') << '\n';
    return code;
}

int Program::run(const std::function<void()>& task) const {
    try {
        task();
        return EX_OK;
    } catch (const ConfigError& error) {
        return failure(EX_CONFIG, error.what());
    } catch (const std::system_error& error) {
        return failure(EX_OSERR, error.what());
    } catch (const std::exception& error) {
        return failure(EX_SOFTWARE, error.what());
    }
}

std::optional<int> Program::take_options(int argc, char** argv, po::options_description options,
                                         std::string_view more, std::string_view parts) const {
    options.add_options()                 //
        ("help,h", "print this and exit") //
        ("version,V", "print the version and exit");
    po::variables_map given;
    try {
        using namespace po::command_line_style;
        po::store(po::command_line_parser(argc, argv)
                      .options(options)
                      .positional({}) // options only
                      .style(unix_style & ~allow_guessing)
                      .run(),
                  given);
        po::notify(given);
    } catch (const po::too_many_positional_options_error&) {
        return failure(
            EX_USAGE,
            fmt::format("it takes options only, no other words; '{} --help' lists them", name));
    } catch (const po::error& error) {
        return failure(EX_USAGE,
                       fmt::format("{}; '{} --help' lists the options", error.what(), name));
    }
    if (given.contains("help"))
        std::cout << usage << '\n' << options << more;
    else if (given.contains("version"))
        std::cout << version_of(name) << '\n' << parts;
    else
        return std::nullopt;
    return EX_OK;
}

} // namespace ubf
