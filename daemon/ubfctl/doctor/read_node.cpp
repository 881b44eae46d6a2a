#include "base/node_settings.hpp"
#include "base/text.hpp"
#include "daemon/ubfctl/doctor/parse.hpp"
#include "daemon/ubfctl/doctor/read.hpp"
#include "daemon/ubfctl/files.hpp"
#include "flow/own_address.hpp"
#include "nft/connection.hpp"
#include "nft/inspection.hpp"
#include "nft/neighbours.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <linux/capability.h>
#include <netinet/in.h>
#include <set>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/xattr.h>

namespace ubf::ctl::doctor {
namespace {

// --- modules ---

constexpr std::array families{"sctp", "dccp",    "rds",  "tipc",   "vsock", "rxrpc",
                              "smc",  "l2tp_ip", "ax25", "netrom", "rose",  "x25",
                              "kcm",  "phonet",  "can",  "qrtr",   "atm",   "appletalk"};

std::set<std::string> kept_out() {
    std::set<std::string> names;
    for (const auto* folder :
         {"/etc/modprobe.d", "/run/modprobe.d", "/usr/lib/modprobe.d", "/lib/modprobe.d"})
        for (const auto& file : matching(std::string(folder) + "/*.conf"))
            add_kept_out(read_text(file).value_or(std::string()), names);
    return names;
}

Strings loadable_families() {
    struct utsname system {};
    ::uname(&system);
    const auto list = std::string("/lib/modules/") + system.release + "/modules.dep";
    const auto there = module_names(read_text(list).value_or(std::string()));
    const auto out = kept_out();
    Strings found;
    for (const auto* name : families)
        if (there.contains(name) && !out.contains(name))
            found.emplace_back(name);
    return found;
}

// --- raw sockets ---

bool has_raw(const std::filesystem::path& file) {
    vfs_cap_data data{};
    const auto size = ::getxattr(file.c_str(), "security.capability", &data, sizeof data);
    if (size < static_cast<ssize_t>(sizeof(__le32) * 3))
        return false;
    constexpr auto mask = 1U << CAP_NET_RAW | 1U << CAP_NET_ADMIN;
    return ((data.data[0].permitted | data.data[0].inheritable) & mask) != 0;
}

// These send packets of one kind alone, whatever a user says.
constexpr std::array harmless{"ping", "ping4", "ping6", "arping", "mtr-packet", "clockdiff"};

// Files of others than root's folders are not looked at: only root can set capabilities.
Strings raw_programs() {
    Strings found;
    std::set<std::pair<dev_t, ino_t>> seen; // /bin may be /usr/bin
    for (const auto* folder : {"/usr/bin", "/usr/sbin", "/bin", "/sbin", "/usr/local/bin",
                               "/usr/local/sbin", "/usr/libexec"}) {
        std::error_code error;
        for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
            struct stat info {};
            if (::stat(entry.path().c_str(), &info) != 0 || !S_ISREG(info.st_mode) ||
                (info.st_mode & S_IXOTH) == 0 || !seen.emplace(info.st_dev, info.st_ino).second)
                continue;
            const auto name = entry.path().filename().string();
            if (std::ranges::find(harmless, name) == harmless.end() && has_raw(entry.path()))
                found.push_back(entry.path().string());
        }
    }
    std::ranges::sort(found);
    return found;
}

Strings open_verbs() {
    Strings found;
    for (const auto& device : matching("/dev/infiniband/uverbs*")) {
        struct stat info {};
        if (::stat(device.c_str(), &info) == 0 && (info.st_mode & S_IROTH) != 0 &&
            (info.st_mode & S_IWOTH) != 0)
            found.push_back(device.string());
    }
    return found;
}

// --- others ---

bool firewalld_knows(Port port) {
    const auto number_text = "port=\"" + std::to_string(port) + "\"";
    for (const auto& file : matching("/etc/firewalld/zones/*.xml")) {
        const auto text = read_text(file).value_or(std::string());
        const auto has = [&](std::string_view words) {
            return text.find(words) != std::string::npos;
        };
        if (has("service name=\"ubf\"") || has(number_text) ||
            (has("<source") && (has("target=\"ACCEPT\"") || file.filename() == "trusted.xml")))
            return true;
    }
    return false;
}

std::optional<Strings> take(const Result<Strings, nft::NftError>& result) {
    return result ? std::optional(*result) : std::nullopt;
}

} // namespace

BesideFacts read_beside(Port port) {
    BesideFacts facts;
    try {
        nft::Connection connection;
        facts.disturbing = take(nft::disturbances(connection));
        facts.refusing = take(nft::refusals_of_others(connection));
        facts.translating = take(nft::translations_of_others(connection));
        facts.firewalld =
            nft::table_state(connection, "firewalld").value_or(std::nullopt).has_value();
    } catch (const nft::NftError&) {
        // Only root may ask.
    }
    facts.legacy = nft::legacy_tables();
    facts.firewalld_knows_ident = firewalld_knows(port);
    for (const auto& own : own_addresses())
        if (!own.is_loopback && !own.address.is_on_link_only())
            facts.addresses.emplace_back(own.address, own.name);
    facts.listeners = listening();
    for (const auto& one : facts.listeners)
        if (one.protocol == Protocol::udp && one.place.port == port)
            facts.ident_port_owner = one.uid;
    return facts;
}

NodeFacts read_node() {
    NodeFacts facts;
    const auto mounts = read_text("/proc/self/mounts").value_or(std::string());
    const auto fstab = read_text("/etc/fstab").value_or(std::string());
    facts.proc_options = mount_options(mounts, "/proc", "proc").value_or(std::string());
    facts.fstab_proc = mount_options(fstab, "/proc", {});
    facts.user_namespaces = first_number("/proc/sys/user/max_user_namespaces");
    facts.user_namespaces_guarded =
        first_number("/proc/sys/kernel/unprivileged_userns_clone") == std::uint64_t{0} ||
        first_number("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == std::uint64_t{1};
    facts.loadable = loadable_families();
    facts.raw = raw_programs();
    facts.verbs = open_verbs();
    facts.most_neighbours = first_number("/proc/sys/net/ipv4/neigh/default/gc_thresh3");
    facts.most_neighbours6 = first_number("/proc/sys/net/ipv6/neigh/default/gc_thresh3");
    facts.tracked = first_number("/proc/sys/net/netfilter/nf_conntrack_count");
    facts.most_tracked = first_number("/proc/sys/net/netfilter/nf_conntrack_max");
    facts.refusals_limited = refusals_limited();
    facts.ephemeral = ephemeral_ports();
    facts.reserved = first_line("/proc/sys/net/ipv4/ip_local_reserved_ports");
    return facts;
}

} // namespace ubf::ctl::doctor
