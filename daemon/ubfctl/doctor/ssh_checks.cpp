// Sessions by ssh on a node where jobs run.
#include "base/text.hpp"
#include "daemon/ubfctl/doctor/check.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>

namespace ubf::ctl::doctor {
namespace {

constexpr std::string_view adopt_module = "pam_slurm_adopt.so";
constexpr const char* pam_file = "/etc/pam.d/sshd";

std::optional<Finding> without_sessions(const Facts& facts) {
    if (!facts.slurm.there || !facts.slurm.slurmd)
        return none("no slurmd here");
    if (!facts.ssh.there)
        return none("no sshd here");
    return std::nullopt;
}

bool adopts(const PamLine& line) {
    return line.type == "account" && line.module == adopt_module;
}

// A module before it that ends the stack well: "sufficient", or a control with done.
bool ends_early(const PamLine& line) {
    return line.type == "account" &&
           (line.control == "sufficient" || line.control.find("success=done") != std::string::npos);
}

Finding adopt(const Facts& facts) {
    if (auto missing = without_sessions(facts))
        return *missing;
    if (!facts.ssh.pam)
        return none("/etc/pam.d/sshd can't be read");
    const auto& lines = *facts.ssh.pam;
    const auto found = std::ranges::find_if(lines, adopts);
    if (found == lines.end())
        return off("users log in without a job", "account required pam_slurm_adopt.so", pam_file);
    if (const auto early = std::find_if(lines.begin(), found, ends_early); early != found)
        return off(fmt::format("{} before it lets users in without it", early->module),
                   fmt::format("move 'account {} {}' behind pam_slurm_adopt.so", early->control,
                               early->module),
                   pam_file);
    if (found->control == "optional")
        return off("it is optional, so it refuses nobody", "account required pam_slurm_adopt.so",
                   pam_file);
    return ok();
}

Finding session(const Facts& facts) {
    if (auto missing = without_sessions(facts))
        return *missing;
    if (!facts.ssh.pam)
        return none("/etc/pam.d/sshd can't be read");
    const auto found = std::ranges::find_if(*facts.ssh.pam, [](const PamLine& line) {
        return line.type == "session" && line.module == "pam_systemd.so";
    });
    if (found != facts.ssh.pam->end())
        return off("pam_systemd.so takes the session out of the job's control group",
                   "#session optional pam_systemd.so", "the file that /etc/pam.d/sshd includes");
    return ok();
}

Finding use_pam(const Facts& facts) {
    if (auto missing = without_sessions(facts))
        return *missing;
    if (to_lower(facts.ssh.use_pam) != "yes")
        return off("sshd asks no PAM module, as by default", "UsePAM yes", "/etc/ssh/sshd_config");
    return ok();
}

constexpr std::array<Check, 3> all{{
    {"adopt.pam", "a session is in the user's job, and ends with it",
     "users compute without a job, and their sessions have no label", adopt},
    {"adopt.systemd", "the session stays in the job's control group",
     "the session has no label, and outlives the job", session},
    {"adopt.usepam", "sshd asks PAM", "adopt.pam counts for nothing", use_pam},
}};

} // namespace

std::span<const Check> ssh_checks() {
    return all;
}

} // namespace ubf::ctl::doctor
