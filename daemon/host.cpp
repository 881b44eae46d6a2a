#include "daemon/host.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string_view>
#include <sys/mman.h>
#include <unistd.h>

namespace ubf {
namespace {

constexpr unsigned v4_unreachable = 3; // ICMP type, RFC 792
constexpr unsigned v6_unreachable = 1; // ICMPv6 type, RFC 4443

std::uint64_t read_number(const char* file) {
    std::uint64_t number = 0;
    std::ifstream(file) >> number;
    return number;
}

// "0-1,3-127"
bool list_contains(const std::string& list, unsigned wanted) {
    std::istringstream items(list);
    std::string item;
    while (std::getline(items, item, ',')) {
        unsigned first = 0;
        unsigned last = 0;
        char dash = 0;
        std::istringstream range(item);
        if (!(range >> first))
            continue;
        if (!(range >> dash >> last))
            last = first;
        if (first <= wanted && wanted <= last)
            return true;
    }
    return false;
}

bool v4_refusals_limited() {
    const auto mask = read_number("/proc/sys/net/ipv4/icmp_ratemask");
    return read_number("/proc/sys/net/ipv4/icmp_ratelimit") != 0 &&
           (mask >> v4_unreachable & 1) != 0;
}

bool v6_refusals_limited() {
    std::string mask;
    std::getline(std::ifstream("/proc/sys/net/ipv6/icmp/ratemask"), mask);
    return read_number("/proc/sys/net/ipv6/icmp/ratelimit") != 0 &&
           list_contains(mask, v6_unreachable);
}

std::string first_line(const char* file) {
    std::string line;
    std::getline(std::ifstream(file), line, '\0');
    while (line.ends_with('\n'))
        line.pop_back();
    return line;
}

// The type of our context, USER:ROLE:TYPE[:LEVEL], if SELinux enforces a policy that does not
// confine this type; else empty. A confined ubfd need not read "enforce", and may not.
std::string unconfined_domain() {
    std::istringstream context(first_line("/proc/self/attr/current"));
    std::string type;
    for (int i = 0; i < 3; ++i)
        if (!std::getline(context, type, ':'))
            return {};
    constexpr std::string_view unconfined[] = {
        "unconfined_t", "unconfined_service_t", "initrc_t", "init_t", "kernel_t", "bin_t"};
    const bool is_confined = std::ranges::find(unconfined, type) == std::end(unconfined);
    return is_confined || first_line("/sys/fs/selinux/enforce") != "1" ? std::string() : type;
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
    return ::mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) == 0;
}

std::vector<std::string> host_warnings(const std::filesystem::path& state) {
    std::vector<std::string> warnings;
    if (v4_refusals_limited() || v6_refusals_limited())
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
