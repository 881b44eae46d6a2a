#include "daemon/host.hpp"

#include "base/node_settings.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <iterator>
#include <string_view>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

namespace ubf {
namespace {

// The type of our context, if SELinux enforces a policy that does not confine this type; else
// empty. A confined ubfd need not read "enforce", and may not.
std::string unconfined_domain() {
    const auto type = own_selinux_type();
    constexpr std::string_view unconfined[] = {
        "unconfined_t", "unconfined_service_t", "initrc_t", "init_t", "kernel_t", "bin_t"};
    const bool is_confined = std::ranges::find(unconfined, type) == std::end(unconfined);
    return is_confined || !selinux_enforces() ? std::string() : type;
}

// 0, or why we can't write there. If the folder is missing, its parent decides.
int write_error(std::filesystem::path folder) {
    while (::faccessat(AT_FDCWD, folder.c_str(), W_OK | X_OK, AT_EACCESS) != 0) {
        if (errno != ENOENT || !folder.has_relative_path())
            return errno;
        folder = folder.parent_path();
    }
    return 0;
}

} // namespace

bool lock_memory() {
    // If what comes later counted under a limit, threads without CAP_IPC_LOCK would get no memory.
    constexpr rlimit none{RLIM_INFINITY, RLIM_INFINITY};
    rlimit limit{};
    const bool unlimited =
        ::getrlimit(RLIMIT_MEMLOCK, &limit) == 0 &&
        (limit.rlim_cur == RLIM_INFINITY || ::setrlimit(RLIMIT_MEMLOCK, &none) == 0);
    return ::mlockall(MCL_CURRENT | MCL_ONFAULT | (unlimited ? MCL_FUTURE : 0)) == 0;
}

std::vector<std::string> host_warnings(const std::filesystem::path& state) {
    std::vector<std::string> warnings;
    if (refusals_limited())
        warnings.push_back(
            "the kernel sends each node only about one refusal a second, and a client that gets "
            "none waits and tries again: install ubf's sysctl.d file, or set "
            "net.ipv4.icmp_ratemask=6160 and net.ipv6.icmp.ratemask=0,2-127");
    if (const auto domain = unconfined_domain(); !domain.empty())
        warnings.push_back(fmt::format(
            "SELinux is enforcing, but does not confine ubfd, which runs in the domain {}: install "
            "the module in share/ubf/selinux, run 'restorecon -v' on ubfd's file, and restart ubfd",
            domain));
    if (const int error = write_error(state); error != 0)
        warnings.push_back(fmt::format(
            "{}: can't be written: {}: a restart forgets jobs, refusals and exceptions made with "
            "'ubfctl allow', and has no last good configuration: mount a writable file system "
            "there, run 'systemd-tmpfiles --create ubf.conf', and restart ubfd",
            state.string(), std::strerror(error)));
    return warnings;
}

} // namespace ubf
