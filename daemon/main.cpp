// ubfd: options, and an exit status for each failure to start.
#include "daemon/core/loading.hpp"
#include "daemon/core/program.hpp"
#include "daemon/daemon.hpp"
#include "ident/key.hpp"
#include "ident/wire.hpp"

#include <boost/program_options.hpp>
#include <cerrno>
#include <exception>
#include <filesystem>
#include <fmt/format.h>
#include <sodium.h>
#include <string>
#include <sysexits.h>
#include <system_error>
#include <utility>

namespace {

constexpr ubf::Program program{"ubfd", R"(Usage: ubfd [OPTION]...
Lets a user's programs talk to each other across the nodes of a cluster, and to nobody else's.
)"};

using Options = ubf::Daemon::Options;

int run(Options options, const std::filesystem::path& file, ubf::DescriptorStore& store) {
    auto config = ubf::load_to_start(file);
    ubf::Daemon daemon(std::move(options), std::move(config), store);
    daemon.run();
    return EX_OK;
}

// If the configuration is bad, ubfd starts with the last good one. Otherwise the node would refuse
// its own users until an administrator mends the file.
int start(Options options) {
    if (sodium_init() < 0)
        return program.failure(EX_SOFTWARE, "libsodium could not be initialised");
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
        return program.failure(EX_CONFIG, error.what());
    } catch (const ubf::KeyError& error) {
        return program.failure(EX_CONFIG, error.what());
    } catch (const ubf::nft::NftError& error) {
        return program.failure(error.code() == EPERM ? EX_NOPERM : EX_UNAVAILABLE, error.what());
    } catch (const ubf::QueueError& error) {
        return program.failure(error.code() == EPERM ? EX_NOPERM : EX_UNAVAILABLE, error.what());
    } catch (const std::system_error& error) {
        const int code = error.code().value();
        if (code == EPERM || code == EACCES)
            return program.failure(EX_NOPERM,
                                   fmt::format("{}; run as root, or with CAP_NET_ADMIN and "
                                               "CAP_NET_BIND_SERVICE",
                                               error.what()));
        return program.failure(code == EADDRINUSE ? EX_UNAVAILABLE : EX_SOFTWARE, error.what());
    } catch (const std::exception& error) {
        return program.failure(EX_SOFTWARE, error.what());
    }
}

} // namespace

int main(int argc, char** argv) {
    Options chosen;
    std::string file, last_good;
    boost::program_options::options_description options("Options");
    using boost::program_options::value;
    options.add_options() //
        ("config,c", value(&file)->default_value("/etc/ubf/ubfd.toml")->value_name("FILE"),
         "the configuration") //
        ("last-good", value(&last_good)->value_name("FILE"),
         "keep the last good configuration there, and start with it where the other is bad") //
        ("leave-ruleset", boost::program_options::bool_switch(&chosen.leave_ruleset),
         "leave the nftables table when stopped: the systemd unit sees to it");
    const auto more = '\n' + ubf::describe_options();
    const auto parts =
        fmt::format("{} SELinux and RDMA; ident's version is {}\n",
                    UBF_WITH_BPF ? "with BPF," : "without BPF; with", ubf::ident::version);
    if (const auto status = program.take_options(argc, argv, options, more, parts))
        return *status;
    chosen.config_file = file;
    chosen.last_good = last_good;
    return guarded_start(std::move(chosen));
}
