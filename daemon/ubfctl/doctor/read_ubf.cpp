#include "base/node_settings.hpp"
#include "config/key_file.hpp"
#include "daemon/ubfctl/doctor/parse.hpp"
#include "daemon/ubfctl/doctor/read.hpp"
#include "daemon/ubfctl/files.hpp"
#include "ident/key.hpp"
#include "netlink/queue_table.hpp"
#include "nft/connection.hpp"
#include "nft/inspection.hpp"

#include <sys/stat.h>
#include <unistd.h>

namespace ubf::ctl::doctor {
namespace {

void read_config(const Places& places, UbfFacts& facts) {
    facts.file = places.config.string();
    try {
        facts.config = load_config(places.config);
    } catch (const std::exception& error) {
        const std::string what = error.what();
        facts.mistake = what.substr(0, what.find('\n'));
    }
}

void read_key(UbfFacts& facts) {
    if (!facts.config || ::geteuid() != 0)
        return;
    const auto key =
        key_file(*facts.config, own_credentials().value_or("/run/credentials/ubfd.service"));
    facts.key.file = key.path.string();
    struct stat info {};
    const bool there = ::stat(key.path.c_str(), &info) == 0;
    facts.key.open = there && ((info.st_mode & S_IRWXO) != 0 || info.st_uid >= 1000);
    facts.key.counts = !facts.config->ident.require_certificates;
    try {
        load_keys(key);
    } catch (const std::exception& error) {
        facts.key.mistake = error.what();
    }
}

void ask_daemon(const Places& places, UbfFacts& facts) {
    try {
        facts.status = ask(places.socket, {{"command", "status"}, {"peers", true}});
        const auto reply = ask(places.socket, {{"command", "jobs"}});
        Strings jobs;
        for (const auto& job : reply.at("jobs"))
            jobs.push_back(std::to_string(job.at("job").get<std::uint32_t>()));
        facts.jobs = std::move(jobs);
    } catch (const std::exception&) {
        // It does not run, or we may not ask: the checks say so.
    }
}

std::optional<bool> table_is_there() {
    try {
        nft::Connection connection;
        const auto state = nft::table_state(connection);
        return state ? std::optional(state->has_value()) : std::nullopt;
    } catch (const nft::NftError&) {
        return std::nullopt;
    }
}

// The processes that are named ubfd. A user may name theirs so, and fool nobody but this line.
void find_process(UbfFacts& facts) {
    for (const auto& folder : matching("/proc/[0-9]*"))
        if (first_line(folder / "comm") == "ubfd") {
            facts.runs = true;
            facts.domain = selinux_type(first_line(folder / "attr/current"));
        }
}

} // namespace

UbfFacts read_ubf(const Places& places) {
    UbfFacts facts;
    read_config(places, facts);
    read_key(facts);
    ask_daemon(places, facts);
    facts.table = table_is_there();
    for (const auto& [number, queue] : kernel_queues())
        facts.queues.insert(number);
    std::error_code error;
    facts.systemd = std::filesystem::exists("/run/systemd/system", error);
    for (const auto& link : matching("/etc/systemd/system/*.wants/ubf*.service"))
        facts.enabled.insert(link.filename().string());
    for (const auto& link : matching("/etc/systemd/system/*.requires/ubf*.service"))
        facts.enabled.insert(link.filename().string());
    facts.selinux_enforcing = selinux_enforces();
    find_process(facts);
    return facts;
}

Facts read_facts(const Places& places) {
    Facts facts;
    facts.ubf = read_ubf(places);
    facts.beside =
        read_beside(facts.ubf.config ? facts.ubf.config->ident.port : Config().ident.port);
    facts.node = read_node();
    facts.slurm = read_slurm(places);
    facts.ssh = read_ssh();
    return facts;
}

} // namespace ubf::ctl::doctor
