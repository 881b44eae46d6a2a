#include "base/text.hpp"
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
            const auto has = [&](std::string_view words) {
                return text.find(words) != std::string::npos;
            };
            struct stat info {};
            const bool runs = ::stat(file.c_str(), &info) == 0 && (info.st_mode & S_IXUSR) != 0;
            hooks.push_back(
                {file.string(), runs,
                 (has("ubfctl") && has(" job ")) || has("slurm/prolog") || has("slurm/epilog")});
        }
    return hooks;
}

bool has_spank(const SlurmConf& conf, const fs::path& folder) {
    const auto set = conf.get("PlugStackConfig");
    const auto text = read_text(set.empty() ? folder / "plugstack.conf" : fs::path(set));
    bool found = false;
    each_line(text.value_or(std::string()), [&](std::string_view line) {
        const auto fields = words(line);
        found |= fields.size() > 1 && fs::path(fields[1]).filename() == "ubf.so";
    });
    return found;
}

// "slurm-wlm 22.05.8" or "slurm 25.05.1"
std::optional<std::pair<unsigned, unsigned>> version() {
    const auto text = printed({"sinfo", "--version"});
    const auto fields = words(text.value_or(std::string()));
    if (fields.size() < 2)
        return std::nullopt;
    std::string_view rest = fields[1];
    const auto major = number<unsigned>(split(rest, '.'));
    const auto minor = number<unsigned>(split(rest, '.'));
    if (!major || !minor)
        return std::nullopt;
    return std::pair(*major, *minor);
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

// --- sshd ---

// The lines of a service, with those of the files that it includes in their place.
void read_pam(const std::string& service, unsigned depth, std::vector<PamLine>& lines) {
    const auto text = depth < 4 ? read_text("/etc/pam.d/" + service) : std::nullopt;
    each_line(text.value_or(std::string()), [&](std::string_view line) {
        auto fields = words(line);
        if (fields.size() == 2 && fields[0] == "@include")
            return read_pam(fields[1], depth + 1, lines);
        if (fields.size() < 3)
            return;
        auto type = to_lower(fields[0]);
        type.erase(0, type.starts_with('-') ? 1 : 0);
        std::size_t module = 2; // a control in brackets has blanks
        std::string control = fields[1];
        while (control.starts_with('[') && !control.ends_with(']') && module + 1 < fields.size())
            control += " " + fields[module++];
        if (control == "include" || control == "substack")
            return read_pam(fields[module], depth + 1, lines);
        lines.push_back({type, control, fs::path(fields[module]).filename().string()});
    });
}

// The first value of UsePAM that counts for all; blocks of Match can't set it.
void read_sshd(const fs::path& file, unsigned depth, std::string& value) {
    bool in_match = false;
    each_line(read_text(file).value_or(std::string()), [&](std::string_view line) {
        const auto fields = words(line);
        const auto key = to_lower(fields.front());
        in_match |= key == "match";
        if (in_match || !value.empty() || fields.size() < 2)
            return;
        if (key == "usepam")
            value = fields[1];
        if (key == "include" && depth < 4)
            for (const auto& more :
                 matching(fields[1].starts_with('/') ? fields[1] : "/etc/ssh/" + fields[1]))
                read_sshd(more, depth + 1, value);
    });
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
    facts.version = version();
    if (facts.slurmd)
        facts.running = running_jobs();
    return facts;
}

SshFacts read_ssh() {
    SshFacts facts;
    std::error_code error;
    facts.there = fs::exists("/etc/ssh/sshd_config", error);
    read_sshd("/etc/ssh/sshd_config", 0, facts.use_pam);
    if (read_text("/etc/pam.d/sshd")) {
        std::vector<PamLine> lines;
        read_pam("sshd", 0, lines);
        facts.pam = std::move(lines);
    }
    return facts;
}

} // namespace ubf::ctl::doctor
