// The facts about a node that `ubfctl doctor` judges. Readers fill them, and checks are pure
// functions of them. A fact that could not be read is empty, so a check of it is not applicable.
#pragma once

#include "config/config.hpp"
#include "daemon/ubfctl/client.hpp"
#include "daemon/ubfctl/doctor/slurm_conf.hpp"
#include "daemon/ubfctl/listening.hpp"

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace ubf::ctl::doctor {

using Strings = std::vector<std::string>;

struct KeyFacts {
    std::string file;         // its place
    std::string mistake;      // why it can't be used
    bool counts = true;       // certificates are not required
    std::optional<bool> open; // other users may read it
};

struct UbfFacts {
    std::string file;             // of the configuration
    std::optional<Config> config; // nothing if it names somebody whom nobody knows
    std::string mistake;          // why there is none
    KeyFacts key;
    std::optional<Json> status;    // of the ubfd that runs
    std::optional<Strings> jobs;   // that are registered, by their numbers
    std::optional<bool> table;     // whether inet ubf is there
    std::set<unsigned> queues;     // that some program reads
    bool runs = false;             // a process is named ubfd
    bool systemd = false;          // runs this machine
    std::set<std::string> enabled; // units of ours
    bool selinux_enforcing = false;
    std::string domain; // of ubfd, by SELinux
};

// Rules of other programs, as sentences; and what others have at our port.
struct BesideFacts {
    std::optional<Strings> disturbing; // chains between ours, and notrack
    std::optional<Strings> refusing;   // chains on input, and marks
    std::optional<Strings> translating;
    Strings legacy;                                         // tables of iptables-legacy
    bool firewalld = false;                                 // has a table
    bool firewalld_knows_ident = false;                     // by a zone of /etc/firewalld
    std::optional<Uid> ident_port_owner;                    // who has the UDP port; nobody: empty
    std::vector<std::pair<Address, std::string>> addresses; // and their interfaces
    std::vector<Listening> listeners;
};

struct NodeFacts {
    std::string proc_options; // of the mount
    std::optional<std::string> fstab_proc;
    std::optional<std::uint64_t> user_namespaces; // user.max_user_namespaces
    bool user_namespaces_guarded = false;         // root alone makes them, by another sysctl
    Strings loadable; // modules of network protocols that a user's socket() would load
    Strings raw;      // programs with capabilities for raw sockets
    Strings verbs;    // devices of RDMA that every user may open
    // gc_thresh3 of IPv4 and IPv6; the first network namespace alone has them.
    std::optional<std::uint64_t> most_neighbours;
    std::optional<std::uint64_t> most_neighbours6;
    std::optional<std::uint64_t> tracked;
    std::optional<std::uint64_t> most_tracked;
    bool refusals_limited = false;      // by icmp_ratemask
    std::optional<PortRange> ephemeral; // ip_local_port_range
    std::string reserved;               // ip_local_reserved_ports
};

// A program that Slurm runs when a job begins or ends.
struct Hook {
    std::string file;
    bool runs = false; // it may be executed
    bool ours = false; // it calls ubfctl
};

struct SlurmFacts {
    bool there = false;  // slurm.conf
    bool slurmd = false; // is installed: jobs run here
    std::string file;    // slurm.conf
    std::string mistake; // why it can't be read
    SlurmConf conf;
    std::optional<std::pair<unsigned, unsigned>> version; // 22.05
    std::optional<SlurmConf> containers;                  // job_container.conf
    std::optional<SlurmConf> dbd;                         // slurmdbd.conf
    std::vector<Hook> prologs;
    std::vector<Hook> epilogs;
    bool spank = false;             // plugstack.conf has ubf.so
    std::optional<Strings> running; // jobs of this node, by squeue
    bool ca_readable = false;
};

struct PamLine {
    std::string type;
    std::string control;
    std::string module; // without its folder
};

struct SshFacts {
    bool there = false;                      // sshd_config
    std::string use_pam;                     // the value that holds; empty: the default
    std::optional<std::vector<PamLine>> pam; // of the service sshd, with what it includes
};

struct Facts {
    UbfFacts ubf;
    BesideFacts beside;
    NodeFacts node;
    SlurmFacts slurm;
    SshFacts ssh;
};

} // namespace ubf::ctl::doctor
