// Nodes and their addresses from a file: a list, a CSV, or slurm.conf.
#pragma once

#include "ledger.hpp"

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace ubf::ctl {

// Each line has a name, and then addresses and a class, in any order, between commas or blanks.
// node_class: of nodes whose line has none. name: of the file. Throws FileError with the line.
std::vector<Terms> parse_node_list(std::string_view text, const std::string& name,
                                   const std::string& node_class);
// NodeName and NodeAddr. An address that is a name is looked up.
std::vector<Terms> nodes_of_slurm_conf(const std::filesystem::path& file,
                                       const std::string& node_class);

} // namespace ubf::ctl
