// Adds slurm.conf to the configuration: the ports of Slurm's daemons and the hosts that reach
// them for the ruleset, and exceptions for the policy.
#pragma once

#include "config/config.hpp"

namespace ubf::config {

// Reads the file that config.slurm.conf names, and looks up the names of hosts in it. If names
// are looked up, a mistake in the file throws ConfigError, with the file and line of each.
// Otherwise it is one of config.unknown, and Slurm's connections are decided like all others until
// it is mended. If there are texts, they stand for the files, which may have changed since.
void add_slurm(Config& config, Names names, const SlurmTexts& texts = {});

} // namespace ubf::config
