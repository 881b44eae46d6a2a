#include "base/text.hpp"
#include "daemon/ubfctl/doctor/parse.hpp"
#include "daemon/ubfctl/doctor/read.hpp"
#include "daemon/ubfctl/files.hpp"
#include "daemon/ubfctl/screen.hpp"

#include <cstdlib>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

namespace ubf::ctl::doctor {
namespace {

namespace fs = std::filesystem;

// Slurm's own order: the environment, then where it was built to look.
fs::path find_conf(const Places& places) {
    if (!places.slurm_conf.empty())
        return places.slurm_conf;
    if (const char* set = std::getenv("SLURM_CONF"))
        return set;
    std::error_code error;
    for (const auto* file : {"/etc/slurm/slurm.conf", "/run/slurm/conf/slurm.conf",
                             "/etc/slurm-llnl/slurm.conf", "/usr/local/etc/slurm.conf"})
        if (fs::exists(file, error))
            return file;
    return "/etc/slurm/slurm.conf";
}

std::optional<SlurmConf> read_conf(const fs::path& file) {
    const auto text = read_text(file);
    if (!text)
        return std::nullopt;
    return SlurmConf(*text, file.string(), [](const std::string& name) { return read_text(name); });
}

// The programs that a value like /etc/slurm/prolog.d/* names; several have commas between.
std::vector<Hook> hooks_of(const SlurmConf& conf, const char* key) {
    std::vector<Hook> hooks;
    const auto value = conf.get(key);
    for (std::string_view rest = value; !rest.empty();)
        for (const auto& file : matching(std::string(trim(split(rest, ','))))) {
            const auto text = read_text(file).value_or(std::string());
            struct stat info {};
            const bool runs = ::stat(file.c_str(), &info) == 0 && (info.st_mode & S_IXUSR) != 0;
            hooks.push_back({file.string(), runs, tells_of_jobs(text, to_lower(key))});
        }
    return hooks;
}

bool has_spank(const SlurmConf& conf, const fs::path& folder) {
    const auto set = conf.get("PlugStackConfig");
    const auto text = read_text(set.empty() ? folder / "plugstack.conf" : fs::path(set));
    bool found = false;
    each_line(text.value_or(std::string()), [&](std::string_view line) {
        const auto fields = words(line);
        const fs::path plugin(fields.size() > 1 ? fields[1] : std::string());
        std::error_code error; // a name alone is looked for in PluginDir
        found |=
            plugin.filename() == "ubf.so" && (plugin.is_relative() || fs::exists(plugin, error));
    });
    return found;
}

std::optional<Strings> running_jobs() {
    const auto name = host_name();
    const auto text = printed({"squeue", "--noheader", "--all", "--states=RUNNING",
                               "--nodelist=" + name.substr(0, name.find('.')), "--format=%A"});
    if (!text)
        return std::nullopt;
    Strings jobs;
    each_line(*text, [&](std::string_view line) { jobs.emplace_back(line); });
    return jobs;
}

bool is_installed(const char* program) {
    for (const auto* folder : {"/usr/sbin/", "/usr/local/sbin/", "/opt/slurm/sbin/", "/sbin/"})
        if (::access((std::string(folder) + program).c_str(), X_OK) == 0)
            return true;
    return false;
}

bool all_may_read(const fs::path& file) {
    struct stat info {};
    return ::stat(file.c_str(), &info) == 0 && (info.st_mode & S_IROTH) != 0;
}

} // namespace

SlurmFacts read_slurm(const Places& places) {
    SlurmFacts facts;
    const auto file = find_conf(places);
    facts.file = file.string();
    std::error_code error;
    facts.there = fs::exists(file, error);
    if (!facts.there)
        return facts;
    facts.slurmd = is_installed("slurmd");
    auto conf = read_conf(file);
    if (!conf) {
        facts.mistake = fmt::format("{} can't be read", file.string());
        return facts;
    }
    facts.conf = std::move(*conf);
    facts.containers = read_conf(file.parent_path() / "job_container.conf");
    facts.dbd = read_conf(file.parent_path() / "slurmdbd.conf");
    facts.prologs = hooks_of(facts.conf, "Prolog");
    facts.epilogs = hooks_of(facts.conf, "Epilog");
    facts.spank = has_spank(facts.conf, file.parent_path());
    facts.ca_readable = all_may_read(file.parent_path() / "ca_cert.pem");
    ::setenv("SLURM_CONF", file.c_str(), 1);
    facts.version = slurm_version(printed({"sinfo", "--version"}).value_or(std::string()));
    if (facts.slurmd)
        facts.running = running_jobs();
    return facts;
}

SshFacts read_ssh() {
    SshFacts facts;
    std::error_code error;
    facts.there = fs::exists("/etc/ssh/sshd_config", error);
    facts.use_pam = use_pam("/etc/ssh/sshd_config", [](const std::string& pattern) {
        std::vector<std::string> texts;
        for (const auto& file : matching(pattern))
            texts.push_back(read_text(file).value_or(std::string()));
        return texts;
    });
    facts.pam = pam_lines(
        "sshd", [](const std::string& service) { return read_text("/etc/pam.d/" + service); });
    return facts;
}

} // namespace ubf::ctl::doctor
