// The texts that `ubfctl doctor` and `ubfctl listeners` read: of root, and of the kernel about
// programs of users. A file that is included is the same text again.
#include "base/node_settings.hpp"
#include "daemon/ubfctl/doctor/parse.hpp"
#include "daemon/ubfctl/doctor/slurm_conf.hpp"
#include "daemon/ubfctl/listening.hpp"
#include "fuzzer.hpp"

#include <string>

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    namespace doctor = ubf::ctl::doctor;
    const std::string text(ubf::fuzz::text(data, size));
    unsigned opened = 0;
    const auto pam = doctor::pam_lines("sshd", [&](const std::string&) {
        ++opened;
        return std::optional(text);
    });
    ubf::fuzz::require(opened != 0 && opened <= doctor::most_included);
    ubf::fuzz::require(pam.has_value());
    for (const auto& line : *pam)
        ubf::fuzz::require(line.module.find('/') == std::string::npos);
    opened = 0;
    doctor::use_pam("/etc/ssh/sshd_config", [&](const std::string&) {
        ++opened;
        return std::vector(3, text);
    });
    ubf::fuzz::require(opened <= doctor::most_included);
    for (const auto* type : {"", "proc"})
        doctor::mount_options(text, "/proc", type);
    std::set<std::string> names;
    doctor::add_kept_out(text, names);
    doctor::module_names(text);
    ubf::limits_unreachable(text);
    doctor::slurm_version(text);
    ubf::fuzz::require(ubf::selinux_type(text).find(':') == std::string::npos);

    const doctor::SlurmConf conf(
        text, "/etc/slurm/slurm.conf",
        [&](const std::string&) -> std::optional<std::string> { return std::nullopt; });
    for (const auto* key : {"PrivateData", "prologflags"})
        ubf::fuzz::require(!conf.lists(key, "jobs") || !conf.get(key).empty());

    for (const auto protocol : {ubf::Protocol::tcp, ubf::Protocol::udp})
        for (const auto& one : ubf::ctl::listening_in({{protocol, text}}))
            ubf::fuzz::require(one.protocol == protocol);
    return 0;
}
