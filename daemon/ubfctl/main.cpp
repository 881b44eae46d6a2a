// ubfctl: the command line, its subcommands and exit statuses.
#include "arguments.hpp"
#include "base/text.hpp"
#include "client.hpp"
#include "command.hpp"
#include "config/config.hpp"
#include "ident/key.hpp"
#include "nft/error.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <fmt/format.h>
#include <iostream>
#include <sodium.h>
#include <sysexits.h>

namespace ubf::ctl {

std::span<const Command> commands() {
    static constexpr std::array<Command, 9> all{{
        {"status", "status [--peers]", "what ubfd does: queues, verdicts, owners, peers", status},
        {"explain", "explain --from ADDR:PORT --to ADDR:PORT [--proto tcp|udp]",
         "who owns each end of a flow, and what the verdict would be", explain},
        {"flows", "flows [--user USER] [--reason REASON]", "the flows that are allowed now", flows},
        {"revoke",
         "revoke --flow FLOW | --from ADDR:PORT --to ADDR:PORT [--proto tcp|udp] |\n"
         "         [--user USER] [--reason REASON] | --all",
         "ends allowed flows now; a new connection is decided as ever", revoke},
        {"check-config", "check-config [FILE]", "whether a configuration is good", check_config},
        {"ruleset", "ruleset [--install|--remove] [FILE]",
         "the nftables ruleset of a configuration, to import; or put it there, or take it away",
         ruleset},
        {"job", "job begin [OPTION]... | job end [--job ID] | job list",
         "for Slurm's Prolog and Epilog: a job begins, or ends; and which ones run", job},
        {"reload", "reload", "have ubfd read its configuration anew, and say whether it is good",
         reload},
        {"keygen", "keygen [FILE]", "make a cluster key", keygen},
    }};
    return all;
}

namespace {

namespace po = boost::program_options;

std::string help(const po::options_description& options) {
    std::string text = "Usage: ubfctl [OPTION]... COMMAND\n\nCommands\n";
    for (const auto& command : commands())
        text += fmt::format("  {}\n      {}\n", command.usage, command.description);
    std::ostringstream rest;
    rest << '\n' << options;
    return text + rest.str();
}

int failure(int code, const std::string& what) {
    for (std::string_view rest = what; !rest.empty();)
        std::cerr << "ubfctl: " << split(rest, '\n') << '\n';
    return code;
}

int run(int argc, char** argv) {
    Globals globals;
    std::string socket;
    po::options_description options("Options");
    options.add_options() //
        ("socket", po::value(&socket)->default_value("/run/ubf/control.sock")->value_name("PATH"),
         "where ubfd listens") //
        ("json", po::bool_switch(&globals.json),
         "for programs: status, explain, flows, revoke, check-config, job list") //
        ("help,h", "print this and exit")                                        //
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
    auto words = po::collect_unrecognized(parsed.options, po::include_positional);
    if (given.contains("help")) {
        std::cout << help(options);
        return EX_OK;
    }
    if (given.contains("version")) {
        std::cout << "ubfctl " << UBF_VERSION << '\n';
        return EX_OK;
    }
    if (words.empty())
        throw UsageError("which command? 'ubfctl --help' lists them");
    const auto command = std::ranges::find(commands(), words.front(), &Command::name);
    if (command == commands().end())
        throw UsageError(
            fmt::format("there is no command '{}'; 'ubfctl --help' lists them", words.front()));
    words.erase(words.begin());
    return command->run(globals, words);
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
    } catch (const ubf::KeyError& error) {
        return failure(EX_CANTCREAT, error.what());
    } catch (const ubf::nft::NftError& error) {
        return failure(error.code() == EPERM ? EX_NOPERM : EX_UNAVAILABLE, error.what());
    } catch (const std::exception& error) {
        return failure(EX_SOFTWARE, error.what());
    }
}
