// The configuration as values. Every field's initialiser is the option's default.
#pragma once

#include "base/types.hpp"
#include "config/observation.hpp"
#include "config/portal.hpp"
#include "config/protocol_ports.hpp"
#include "config/watched_interfaces.hpp"
#include "flow/address.hpp"
#include "flow/address_map.hpp"
#include "flow/flow.hpp"
#include "identity/keys.hpp"
#include "identity/vouching.hpp"
#include "label/label_map.hpp"
#include "policy/policy.hpp"

#include <bit>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace ubf {

// Three bits of the packet mark, ours alone. Every other bit of a mark is left as it is.
struct Mark {
    std::uint32_t mask = 0x00e00000; // three bits in a row

    std::uint32_t field(std::uint32_t n) const { return n << std::countr_zero(mask); }
    std::uint32_t allow() const { return field(1); }
    std::uint32_t closed() const { return field(2); }
    std::uint32_t denied() const { return field(3); }
    // Set by the gate: the packet answers one from this node, came over the fabric, or both.
    std::uint32_t reply() const { return field(4); }
    std::uint32_t fabric() const { return field(5); }
    std::uint32_t fabric_reply() const { return field(6); }
    // Set by the gate as well: addresses or ports of the packet were translated here.
    std::uint32_t translated() const { return field(7); }
};

// An option that the file or a drop-in sets.
struct Setting {
    std::string_view section;
    std::string_view key;
    std::string value; // as TOML has it
    std::string where; // FILE:LINE; empty: the default
};

// The text of each file of Slurm's configuration, by its path.
using SlurmTexts = std::map<std::string, std::string>;

struct Config {
    struct Queue {
        std::uint16_t first = 0;
        std::uint16_t count = 0; // 0: one per CPU, four at most
        std::uint32_t length = 16384;
    } queue;

    struct Scope {
        WatchedInterfaces interfaces;
        // Empty: from net.ipv4.ip_unprivileged_port_start up. Disjoint, sorted.
        std::vector<PortRange> ports;
        std::vector<ProtocolPorts> exempt_ports;
        std::vector<std::uint8_t>
            protocols; // beside TCP, UDP, ICMP, ICMPv6 and IGMP; IANA's numbers
        std::vector<InterfacePattern> outbound_deny; // users begin nothing there; disjoint
    } scope;

    struct Peers {
        std::vector<Prefix> ranges; // disjoint, and without those of peers.except
        std::vector<Prefix> except; // machines among them that never run ubfd: outside
        bool notrack = false;       // no connection tracking of TCP between them
    } peers;

    // How fast each user begins TCP connections and UDP flows on this node. The kernel limits them.
    struct Limits {
        struct Rate {
            std::uint32_t per_second = 0; // 0: no limit
            std::uint32_t burst = 0;      // so many may come at once

            bool any() const { return per_second != 0; }
            bool operator==(const Rate&) const = default;
        };
        Rate connections;
        Rate udp_flows; // those that are tracked
        std::vector<UidRange> users{{Uid{1000}, Uid{0xfffffffe}}};
        bool refuse = false; // otherwise a packet is dropped; TCP sends its SYN again

        bool any() const { return connections.any() || udp_flows.any(); }
        bool operator==(const Limits&) const = default;
    } limits;

    Policy policy;
    Observation observed; // [policy] has its options

    // IPoIB interfaces, which the kernel knows by their link type; see docs/fabric.md.
    struct Fabric {
        bool enabled = true; // false: they are interfaces like all others
        // These replace the options of Scope and Peers. If `peers` is empty, those of Peers count.
        std::vector<PortRange> ports{};
        std::vector<ProtocolPorts> exempt_ports{};
        std::vector<std::uint8_t> protocols{};
        std::vector<Prefix> peers{};
        AddressMap management{}; // maps a fabric address to the address of its ubfd
        // Reasons of Policy that count on the fabric too, and users who are exempt there as well.
        bool same_user = true;
        bool same_group = true;
        bool same_label = true;
        std::vector<Exemption> exempt_listeners{};
        std::vector<Exemption> exempt_connectors{};
        std::vector<Label> pkeys{}; // of partitions; both ends of a flow in one carry its label
        bool notrack = true;        // no connection tracking
        std::chrono::seconds udp_timeout{60};
        // Connections of the RDMA connection manager between users who may not talk.
        enum class Rdma : std::uint8_t { off, log, end } rdma = Rdma::log;
    } fabric;

    // The policy on the fabric.
    Policy fabric_policy() const;
    const std::vector<Prefix>& fabric_peers() const {
        return fabric.peers.empty() ? peers.ranges : fabric.peers;
    }

    struct Labels {
        bool slurm = false;   // of the job that a process belongs to
        bool selinux = false; // of the level that it works at
        LabelMap map;         // of the administrator
        std::filesystem::path state_directory = "/var/lib/ubf"; // of the jobs that run
        bool end_flows = true;                                  // that a withdrawn label allowed
        // The action for listeners that a user has left when their last job here ends.
        enum class Leftovers : std::uint8_t { keep, report, kill } leftovers = Leftovers::report;
        bool steps = false; // whether a socket is slurmstepd's; follows from slurm.conf

        // Whether both give every user the same labels.
        bool same_sources(const Labels& other) const {
            return slurm == other.slurm && selinux == other.selinux && map == other.map &&
                   steps == other.steps;
        }
        // Whether any source gives labels.
        bool any() const { return slurm || selinux || !map.empty(); }
    } labels;

    struct Listeners {
        std::vector<UidRange> keep; // users who may listen without a job
    } listeners;

    // Slurm's own connections, by its slurm.conf.
    struct Slurm {
        std::filesystem::path conf;              // empty: none
        std::vector<std::string> submit_hosts{}; // beside those of the file: names, or ranges
        // From the file, for the ruleset. The policy has the rest, as exceptions.
        std::vector<PortRange> ports{}; // of slurmctld, slurmd and slurmdbd: disjoint, sorted
        std::vector<Prefix> hosts{};    // they alone reach these ports: disjoint, sorted
        std::vector<std::string> warnings{};
        // The file and those that it includes, as they were read; empty if they have a mistake.
        SlurmTexts texts{};

        bool is_bad() const { return !conf.empty() && texts.empty(); }
    } slurm;

    struct Owners {
        bool bpf = true;       // if the kernel can, it records who makes a socket listen or connect
        bool recognise = true; // the kernel recognises connections between one user's programs
    } owners;

    struct Ident {
        Port port = 1017; // below 1024: only root can speak from it
        std::filesystem::path key_file = "/etc/ubf/ident.key";
        std::chrono::milliseconds deadline{900};
        std::chrono::milliseconds clock_skew{30000};
        bool require_certificates = false; // the cluster key alone proves no peer any more
    } ident;

    // This node's own key, and whom the nodes of each class may speak for; see docs/identity.md.
    struct Identity {
        std::filesystem::path key; // empty: none, and the rest is empty, too
        std::filesystem::path certificate{};
        std::filesystem::path roster{}; // empty: peers send their certificates along
        identity::Authorities authorities{};
        std::map<std::string, identity::ClassRule, std::less<>> classes{}; // empty: any for all
    } identity;

    struct Ruleset {
        bool manage = true;                // false: the administrator imports it, ubfd checks it
        bool stand_in = true;              // ubfd installs its own while an imported one is gone
        bool allow_without_daemon = false; // fail-open, here and nowhere else
        bool keep_on_stop = false;
    } ruleset;

    Mark mark;

    struct Log {
        enum class Target : std::uint8_t { automatic, journal, stderr_ } target = Target::automatic;
        std::string help_url;          // of the page for users, in each line of a denial
        std::chrono::seconds fold{10}; // repeats of one denial within this time are one line
    } log;

    struct Control {
        std::filesystem::path socket = "/run/ubf/control.sock";
        std::filesystem::path user_socket = "/run/ubf/user.sock"; // empty: there is none
        bool reveal = true; // there, the user at the other end of a refused flow is named
    } control;

    Portal portal;

    // The file that was read, drop-ins included.
    struct Source {
        std::string text;
        std::vector<Setting> settings;    // that it has, but for tables of names
        std::vector<std::string> retired; // a warning for each setting without effect
    };
    Source source;

    // Users and groups that the user database doesn't know, if that is no error.
    struct Unknown {
        std::vector<std::string> names;
        // policy.ignored_groups holds an unknown group: then no group allows a flow.
        bool ignored_group = false;
    };
    Unknown unknown;
};

// Whether both decide every flow alike, as far as owners, labels and peers go. Packets that scope
// and exempt ports pass unasked don't count.
bool decide_alike(const Config& a, const Config& b);

// Names each option that differs and takes effect at a restart only, like "queue.count".
std::vector<std::string> need_restart(const Config& old, const Config& fresh);

// Names file, line and column, the mistake and its correction: a line for each mistake.
class ConfigError : public std::runtime_error {
  public:
    explicit ConfigError(const std::string& what, std::uint32_t line = 0)
      : std::runtime_error(what)
      , line_(line) {}
    std::uint32_t line() const { return line_; } // of the first mistake; 0: the file as a whole

  private:
    std::uint32_t line_;
};

// Whether user and group names are looked up in the user database (NSS). The ruleset needs no
// look-up: it has no users in it, and is made before the network is up. Names that the database
// doesn't know are an error, or they match nobody and Config lists them. When a node starts, its
// directory may not be available yet. If the database takes too long, all names are listed, and it
// is asked later.
enum class Names : std::uint8_t { look_up, look_up_or_list, list, pass_over };

// Reads the file and its drop-ins, and asks nothing but the user database. Drop-ins are the files
// *.toml in the directory of the same name with ".d" behind it, in the order of their names; each
// sets keys anew. Throws ConfigError.
Config load_config(const std::filesystem::path& file, Names names = Names::look_up);
// texts: if there are any, they stand for the files of Slurm, which are not read.
Config parse_config(std::string_view toml, const std::string& name, Names names = Names::look_up,
                    const SlurmTexts& texts = {});

// Every option, with the value that holds.
std::vector<Setting> all_settings(const Config& config);

// Valid settings that are probably mistakes: a line for each, with a correction.
std::vector<std::string> warnings(const Config& config);

// The same for the watched interfaces, on a node with the interfaces `present`.
std::vector<std::string> interface_warnings(const Config& config,
                                            const std::vector<std::string>& present);

// All options with their defaults, for --help.
std::string describe_options();

} // namespace ubf
