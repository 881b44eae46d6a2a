// Other programs' rules and sockets on this node.
#include "daemon/ubfctl/doctor/check.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>

namespace ubf::ctl::doctor {
namespace {

// The first sentence that has, or lacks, the words.
std::optional<std::string> sentence(const Strings& all, std::string_view words, bool with = true) {
    const auto found = std::ranges::find_if(all, [&](const std::string& one) {
        return (one.find(words) != std::string::npos) == with;
    });
    return found == all.end() ? std::nullopt : std::optional(*found);
}

Finding judge(const std::optional<Strings>& all, std::string_view words, bool with,
              const char* write) {
    if (!all)
        return none("only root can tell");
    if (const auto found = sentence(*all, words, with))
        return off(*found, write, "that table's own file");
    return ok();
}

constexpr std::string_view notrack_words = "(notrack)";
constexpr std::string_view mark_words = "writes packet marks";

Finding chains(const Facts& facts) {
    return judge(facts.beside.disturbing, notrack_words, false,
                 "type filter hook input priority filter + 50;");
}

Finding untracked(const Facts& facts) {
    return judge(facts.beside.disturbing, notrack_words, true,
                 "delete the rule, or name ports below 1024 in it");
}

Finding refusing(const Facts& facts) {
    return judge(facts.beside.refusing, mark_words, false,
                 "let the peers' networks in there: ip saddr NETWORK accept");
}

Finding marks(const Facts& facts) {
    return judge(facts.beside.refusing, mark_words, true,
                 "meta mark set meta mark & 0x00e00000 | MARK");
}

Finding translating(const Facts& facts) {
    return judge(facts.beside.translating, "", true,
                 "name both ports in scope.exempt_ports, or publish the port itself");
}

Finding legacy(const Facts& facts) {
    if (!facts.beside.legacy.empty())
        return off(facts.beside.legacy.front(),
                   "update-alternatives --set iptables "
                   "/usr/sbin/iptables-nft",
                   "a shell");
    return ok();
}

Finding firewalld(const Facts& facts) {
    if (!facts.beside.firewalld)
        return none("no firewalld here");
    if (!facts.beside.firewalld_knows_ident)
        return off("no zone opens UDP port 1017 to the peers",
                   "firewall-cmd --permanent --zone=trusted --add-source=NETWORK && firewall-cmd "
                   "--reload",
                   "a shell");
    return ok();
}

Finding ident_port(const Facts& facts) {
    const auto& owner = facts.beside.ident_port_owner;
    if (!facts.ubf.config)
        return none("there is no good configuration");
    const auto port = facts.ubf.config->ident.port;
    if (owner && !facts.ubf.status && !facts.ubf.runs)
        return off(
            fmt::format("another program has UDP port {}", port),
            fmt::format("echo {} >> /etc/bindresvport.blacklist, and restart that program", port),
            "a shell");
    if (!owner && facts.ubf.status)
        return off(fmt::format("ubfd runs, but nothing has UDP port {} here", port),
                   "systemctl restart ubfd", "a shell");
    return facts.ubf.status ? ok(fmt::format("udp/{}", port)) : none("ubfd does not answer");
}

Finding outside_scope(const Facts& facts) {
    const auto& config = facts.ubf.config;
    if (!config)
        return none("there is no good configuration");
    Strings unwatched;
    for (const auto& [address, interface] : facts.beside.addresses)
        if (!config->scope.interfaces.watches(interface))
            unwatched.push_back(interface);
    if (unwatched.empty())
        return ok("every interface is watched");
    for (const auto& one : facts.beside.listeners) {
        const auto at = std::ranges::find(facts.beside.addresses, one.place.address,
                                          &std::pair<Address, std::string>::first);
        const bool open = one.is_everywhere() || (at != facts.beside.addresses.end() &&
                                                  !config->scope.interfaces.watches(at->second));
        if (one.uid >= Uid{1000} && open)
            return off(
                fmt::format("a user listens at {} {}, which {} reaches unwatched",
                            to_string(one.protocol), to_string(one.place), unwatched.front()),
                fmt::format("[scope] interfaces: add \"{}\"", unwatched.front()), facts.ubf.file);
    }
    return ok();
}

constexpr std::array<Check, 9> all{{
    {"net.chains", "no rule runs between the gate and the verdict",
     "a mark of another program lets in a refused packet", chains},
    {"net.notrack", "this node can prove what it sent", "peers refuse its UDP", untracked},
    {"net.input", "no other chain refuses what ubfd allows",
     "connections fail, with no line in "
     "ubfd's log",
     refusing},
    {"net.marks", "the three bits of mark.mask are ubf's alone", "verdicts are lost", marks},
    {"net.nat", "no other table redirects flows", "flows to these ports are refused as translated",
     translating},
    {"net.legacy", "all rules are nftables'", "a rule that ubfd can't see refuses flows", legacy},
    {"net.firewalld", "firewalld lets peers ask", "peers take this node for silent", firewalld},
    {"net.ident_port", "ubfd has its UDP port", "peers get no answer", ident_port},
    {"net.listeners_outside_scope", "no user listens where nothing is watched",
     "everybody on that network reaches the listener", outside_scope},
}};

} // namespace

std::span<const Check> beside_checks() {
    return all;
}

} // namespace ubf::ctl::doctor
