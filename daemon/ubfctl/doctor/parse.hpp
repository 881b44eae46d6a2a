// The texts that `ubfctl doctor` reads, as values. No I/O but for what an `Open` reads. Lines that
// are malformed are passed over.
#pragma once

#include "daemon/ubfctl/doctor/facts.hpp"

#include <functional>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace ubf::ctl::doctor {

// The options of the last mount at this place: /proc/self/mounts and fstab have one format
// (fstab(5)). type: of the file system; empty: any.
std::optional<std::string> mount_options(std::string_view text, std::string_view place,
                                         std::string_view type);

// The modules that "install NAME /bin/false" keeps out (modprobe.d(5)). A blacklist does not: it is
// for aliases of hardware alone, and for those that are asked for by name it does nothing.
void add_kept_out(std::string_view text, std::set<std::string>& names);

// The names in modules.dep.
std::set<std::string> module_names(std::string_view text);

// "slurm-wlm 22.05.8" or "slurm 25.05.1"
std::optional<std::pair<unsigned, unsigned>> slurm_version(std::string_view text);

// Whether a program of Slurm's Prolog or Epilog tells ubfd of jobs: by the script that comes with
// ubf, or by 'ubfctl job'. In a shell script, comments do not count. hook: "prolog" or "epilog".
bool tells_of_jobs(std::string_view text, std::string_view hook);

// --- sshd ---

// At most this many files, or patterns of files, are read, however often they include each other.
inline constexpr unsigned most_included = 64;

// The lines of a service, with those of the files that it includes in their place (pam.d(5));
// nothing if it has no file. open: the text of a service.
using OpenService = std::function<std::optional<std::string>(const std::string& service)>;
std::optional<std::vector<PamLine>> pam_lines(const std::string& service, const OpenService& open);

// The first value of UsePAM that counts for all; blocks of Match can't set it (sshd_config(5)).
// open: the texts of the files that match a pattern.
using OpenFiles = std::function<std::vector<std::string>(const std::string& pattern)>;
std::string use_pam(const std::string& file, const OpenFiles& open);

} // namespace ubf::ctl::doctor
