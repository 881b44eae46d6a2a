#include "base/node_settings.hpp"

#include "base/read_all.hpp"
#include "base/text.hpp"

#include <filesystem>
#include <system_error>

namespace ubf {
namespace {

constexpr unsigned v4_unreachable = 3; // ICMP type, RFC 792
constexpr unsigned v6_unreachable = 1; // ICMPv6 type, RFC 4443

// A context ends with a NUL.
std::string read(const char* file) {
    const auto text = read_all(file, 4096).value_or(std::string());
    return std::string(trim(text.substr(0, text.find('\0'))));
}

std::uint64_t read_number(const char* file) {
    return number<std::uint64_t>(read(file)).value_or(0);
}

} // namespace

bool refusals_limited() {
    const auto v4_mask = read_number("/proc/sys/net/ipv4/icmp_ratemask");
    return (read_number("/proc/sys/net/ipv4/icmp_ratelimit") != 0 &&
            (v4_mask >> v4_unreachable & 1) != 0) ||
           (read_number("/proc/sys/net/ipv6/icmp/ratelimit") != 0 &&
            limits_unreachable(read("/proc/sys/net/ipv6/icmp/ratemask")));
}

bool limits_unreachable(std::string_view ratemask) {
    while (!ratemask.empty()) {
        auto item = split(ratemask, ',');
        const auto first = number<unsigned>(split(item, '-'));
        const auto last = item.empty() ? first : number<unsigned>(item);
        if (first && last && *first <= v6_unreachable && v6_unreachable <= *last)
            return true;
    }
    return false;
}

std::optional<PortRange> ephemeral_ports() {
    const auto text = read("/proc/sys/net/ipv4/ip_local_port_range");
    std::string_view rest = text;
    const auto first = number<Port>(split(rest, '\t'));
    const auto last = number<Port>(rest);
    return first && last ? std::optional(PortRange{*first, *last}) : std::nullopt;
}

// The kernel makes the mount point where SELinux is on (selinuxfs.c); a policy may keep us from it.
bool selinux_is_enabled() {
    std::error_code error;
    return std::filesystem::exists("/sys/fs/selinux", error) ||
           error == std::errc::permission_denied;
}

bool selinux_enforces() {
    return read("/sys/fs/selinux/enforce") == "1";
}

std::string selinux_type(std::string_view context) {
    split(context, ':');
    split(context, ':');
    return std::string(split(context, ':'));
}

std::string own_selinux_type() {
    return selinux_type(read("/proc/self/attr/current"));
}

} // namespace ubf
