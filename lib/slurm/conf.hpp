// The hosts and ports of a Slurm cluster, from slurm.conf as slurm.conf(5) and Slurm's
// parse_config.c have it. Pure: the caller opens the files. All other settings are passed over.
#pragma once

#include "base/types.hpp"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ubf::slurm {

inline constexpr std::size_t most_bytes = std::size_t{8} << 20; // of all files together

struct Host {
    std::string name;
    std::string address; // a name or an address, at which the others reach it

    bool operator==(const Host&) const = default;
};

struct Conf {
    std::vector<Host> controllers;
    std::vector<Host> databases; // hosts of slurmdbd
    std::vector<Host> nodes;
    PortRange controller_ports{6817, 6817};
    Port database_port = 6819;
    Port node_port = 6818;                 // of nodes without a port of their own
    std::vector<PortRange> node_ports;     // of all nodes: disjoint, sorted
    std::optional<PortRange> srun_ports{}; // none: srun takes any port
    std::string user = "root";             // SlurmUser: a name or a uid
    std::vector<std::string> warnings{};   // FILE:LINE: what
};

// FILE:LINE: what, for each mistake.
struct Mistake {
    std::string file;
    std::uint32_t line = 0;
    std::string what;
};
std::string to_string(const Mistake& mistake);

struct Parsed {
    Conf conf;
    std::vector<Mistake> mistakes; // with any, the rest is not to be relied on
};

// The same ports, sorted and disjoint.
std::vector<PortRange> merged(std::vector<PortRange> ports);

// The text of an included file; nothing if it can't be read.
using Open = std::function<std::optional<std::string>(const std::string& file)>;

// file: its path. Relative names in Include are in the directory of this file.
Parsed parse_conf(std::string_view text, const std::string& file, const Open& open);

} // namespace ubf::slurm
