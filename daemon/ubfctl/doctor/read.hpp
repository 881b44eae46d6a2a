// Reads the facts of this node. Nothing is written, and nothing is asked of another node but by
// squeue.
#pragma once

#include "daemon/ubfctl/doctor/facts.hpp"

#include <filesystem>

namespace ubf::ctl::doctor {

struct Places {
    std::filesystem::path socket;     // of ubfd
    std::filesystem::path config;     // ubfd.toml
    std::filesystem::path slurm_conf; // empty: where Slurm looks for it
};

UbfFacts read_ubf(const Places& places);
// port: ident's
BesideFacts read_beside(Port port);
NodeFacts read_node();
SlurmFacts read_slurm(const Places& places);
SshFacts read_ssh();

Facts read_facts(const Places& places);

} // namespace ubf::ctl::doctor
