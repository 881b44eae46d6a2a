// ubfd: options, and an exit status for each failure to start.
#include "base/text.hpp"
#include "base/version.hpp"
#include "daemon/daemon.hpp"
#include "ident/key.hpp"
#include "ident/wire.hpp"

#include <boost/program_options.hpp>
#include <cerrno>
#include <exception>
#include <filesystem>
#include <fmt/format.h>
#include <iostream>
#include <sodium.h>
#include <string>
#include <sysexits.h>
#include <system_error>
#include <utility>

namespace {

namespace po = boost::program_options;

constexpr const char* usage = R"(Usage: ubfd [OPTION]...
Lets a user's programs talk to each other across the nodes of a cluster, and to nobody else's.
)";

int failure(int code, const std::string& what) {
    for (std::string_view rest = what; !rest.empty();)
        std::cerr << "ubfd: " << ubf::split(rest, '\n') << '\n';
    return code;
}

using Options = ubf::Daemon::Options;

int run(Options options, const std::filesystem::path& file, ubf::DescriptorStore& store) {
    auto config = ubf::load_config(file, ubf::Names::look_up_or_list);
    ubf::Daemon daemon(std::move(options), std::move(config), store);
    daemon.run();
    return EX_OK;
}

// If the configuration is bad, ubfd starts with the last good one. Otherwise the node would refuse
// its own users until an administrator mends the file.
int start(Options options) {
    if (sodium_init() < 0)
        return failure(EX_SOFTWARE, "libsodium could not be initialised");
    ubf::DescriptorStore store;
    try {
        return run(options, options.config_file, store);
    } catch (const ubf::ConfigError& error) {
        if (options.last_good.empty() || !std::filesystem::exists(options.last_good))
            throw;
        options.mistake = error.what();
    }
    const auto mistake = options.mistake;
    const auto last_good = options.last_good;
    try {
        return run(std::move(options), last_good, store);
    } catch (const ubf::ConfigError& error) {
        throw ubf::ConfigError(fmt::format("{}\n{}", mistake, error.what()));
    }
}

int guarded_start(Options options) {
    try {
        return start(std::move(options));
    } catch (const ubf::ConfigError& error) {
        return failure(EX_CONFIG, error.what());
    } catch (const ubf::KeyError& error) {
        return failure(EX_CONFIG, error.what());
    } catch (const ubf::nft::NftError& error) {
        return failure(error.code() == EPERM ? EX_NOPERM : EX_UNAVAILABLE, error.what());
    } catch (const ubf::QueueError& error) {
        return failure(error.code() == EPERM ? EX_NOPERM : EX_UNAVAILABLE, error.what());
    } catch (const std::system_error& error) {
        const int code = error.code().value();
        if (code == EPERM || code == EACCES)
            return failure(EX_NOPERM, fmt::format("{}; run as root, or with CAP_NET_ADMIN and "
                                                  "CAP_NET_BIND_SERVICE",
                                                  error.what()));
        return failure(code == EADDRINUSE ? EX_UNAVAILABLE : EX_SOFTWARE, error.what());
    } catch (const std::exception& error) {
        return failure(EX_SOFTWARE, error.what());
    }
}

} // namespace

int main(int argc, char** argv) {
    Options chosen;
    std::string file, last_good;
    po::options_description options("Options");
    options.add_options() //
        ("config,c", po::value(&file)->default_value("/etc/ubf/ubfd.toml")->value_name("FILE"),
         "the configuration") //
        ("last-good", po::value(&last_good)->value_name("FILE"),
         "keep the last good configuration there, and start with it where the other is bad") //
        ("leave-ruleset", po::bool_switch(&chosen.leave_ruleset),
         "leave the nftables table when stopped: the systemd unit sees to it")  //
        ("help,h", "print this and the options of the configuration, and exit") //
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
        return failure(EX_USAGE, "it takes options only, no other words; 'ubfd --help' lists them");
    } catch (const po::error& error) {
        return failure(EX_USAGE, fmt::format("{}; 'ubfd --help' lists the options", error.what()));
    }
    if (given.contains("help")) {
        std::cout << usage << '\n' << options << '\n' << ubf::describe_options();
        return EX_OK;
    }
    if (given.contains("version")) {
        std::cout << ubf::version_of("ubfd") << '\n'
                  << fmt::format("BPF: {}; SELinux's levels: yes; RDMA: yes, with ubf-rdmad; "
                                 "ident's version: {}\n",
                                 UBF_WITH_BPF ? "yes" : "no, it was built without",
                                 ubf::ident::version);
        return EX_OK;
    }
    chosen.config_file = file;
    chosen.last_good = last_good;
    return guarded_start(std::move(chosen));
}
