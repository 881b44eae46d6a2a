// ubfctl: the command line, its subcommands and exit statuses.
#include "arguments.hpp"
#include "base/nearest.hpp"
#include "base/text.hpp"
#include "base/version.hpp"
#include "client.hpp"
#include "command.hpp"
#include "config/config.hpp"
#include "daemon/ubfctl/identity/files.hpp"
#include "ident/key.hpp"
#include "nft/error.hpp"
#include "screen.hpp"
#include "table.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <fmt/format.h>
#include <iostream>
#include <sodium.h>
#include <sysexits.h>
#include <unistd.h>
#include <utility>
#include <vector>

namespace ubf::ctl {
namespace {

namespace po = boost::program_options;

std::string help(const po::options_description& options) {
    std::string text = "Usage: ubfctl [OPTION]... COMMAND\n"
                       "       ubfctl help COMMAND\n\nCommands\n";
    for (const auto& command : commands())
        text += fmt::format("  {}\n      {}\n", command.usage, command.description);
    std::ostringstream rest;
    rest << '\n' << options;
    return text + rest.str();
}

std::string help(const Command& command) {
    auto text = fmt::format("Usage: ubfctl {}\n\n  {}\n\nExample\n  {}\n", command.usage,
                            command.description, command.example);
    if (command.columns == nullptr)
        return text;
    text += "\nColumns for --output, like \"flow,age\"; \"+age\" adds to the usual ones (*)\n";
    for (const auto& column : command.columns())
        text +=
            fmt::format("  {} {:<12} {}\n", column.is_usual ? '*' : ' ', column.name, column.help);
    return text;
}

const Command& find_command(const std::string& name) {
    const auto found = std::ranges::find(commands(), name, &Command::name);
    if (found != commands().end())
        return *found;
    const auto nearest = std::ranges::min_element(commands(), {}, [&](const Command& command) {
        return distance(command.name, std::string_view(name).substr(0, 64));
    });
    throw UsageError(fmt::format("there is no command '{}'{}; 'ubfctl --help' lists them", name,
                                 distance(nearest->name, std::string_view(name).substr(0, 64)) <= 2
                                     ? fmt::format("; did you mean '{}'?", nearest->name)
                                     : std::string()));
}

bool wants_colours(const std::string& word) {
    const auto choice = parse_colour(word);
    if (!choice)
        throw UsageError(
            fmt::format("--color '{}' is not known; it is auto, always or never", word));
    return wants_colour(*choice, ::isatty(STDOUT_FILENO) == 1, std::getenv("NO_COLOR"),
                        std::getenv("TERM"));
}

int failure(int code, const std::string& what) {
    for (std::string_view rest = what; !rest.empty();)
        std::cerr << "ubfctl: " << split(rest, '\n') << '\n';
    return code;
}

int run(int argc, char** argv) {
    Globals globals;
    std::string socket;
    std::string colour;
    bool no_pager = false;
    po::options_description options("Options");
    options.add_options() //
        ("socket", po::value(&socket)->default_value("/run/ubf/control.sock")->value_name("PATH"),
         "where ubfd listens; for 'why', /run/ubf/user.sock") //
        ("json", po::bool_switch(&globals.json),
         "for programs: why, status, report, explain, flows, revoke, check-config, doctor, "
         "listeners, job list") //
        ("color", po::value(&colour)->default_value("auto")->value_name("WHEN"),
         "colours: auto (on a terminal, without NO_COLOR), always or never") //
        ("no-pager", po::bool_switch(&no_pager),
         "a page longer than the terminal goes by without $UBF_PAGER, $PAGER or less") //
        ("help,h", "print this and exit")                                              //
        ("version,V", "print the version and exit");

    // Our options may stand on either side of the command; the other words are the command's.
    po::variables_map given;
    const auto parsed = po::command_line_parser(argc, argv)
                            .options(options)
                            .style(option_style)
                            .allow_unregistered()
                            .run();
    po::store(parsed, given);
    po::notify(given);
    globals.socket = socket;
    globals.pages = !no_pager;
    globals.colours = wants_colours(colour);
    globals.user_socket = given["socket"].defaulted() ? "/run/ubf/user.sock" : socket;
    auto words = po::collect_unrecognized(parsed.options, po::include_positional);
    const bool wants_help = given.contains("help") || (!words.empty() && words.front() == "help");
    if (!words.empty() && words.front() == "help")
        words.erase(words.begin());
    if (wants_help) {
        std::cout << (words.empty() ? help(options) : help(find_command(words.front())));
        return EX_OK;
    }
    if (given.contains("version")) {
        std::cout << version_of("ubfctl") << '\n';
        return EX_OK;
    }
    if (words.empty())
        throw UsageError("which command? 'ubfctl --help' lists them");
    const auto& command = find_command(words.front());
    words.erase(words.begin());
    return command.run(globals, words);
}

} // namespace
} // namespace ubf::ctl

int main(int argc, char** argv) {
    using namespace ubf::ctl;
    if (sodium_init() < 0)
        return failure(EX_SOFTWARE, "libsodium could not be initialised");
    try {
        return run(argc, argv);
    } catch (const UsageError& error) {
        return failure(EX_USAGE, error.what());
    } catch (const boost::program_options::error& error) {
        return failure(EX_USAGE, error.what());
    } catch (const Unreachable& error) {
        return failure(EX_UNAVAILABLE, error.what());
    } catch (const Refused& error) {
        return failure(1, error.what());
    } catch (const ubf::ConfigError& error) {
        return failure(EX_CONFIG, error.what());
    } catch (const FileError& error) {
        return failure(EX_CANTCREAT, error.what());
    } catch (const ubf::KeyError& error) {
        return failure(EX_CANTCREAT, error.what());
    } catch (const ubf::nft::NftError& error) {
        return failure(error.code() == EPERM ? EX_NOPERM : EX_UNAVAILABLE, error.what());
    } catch (const std::exception& error) {
        return failure(EX_SOFTWARE, error.what());
    }
}
