// The lines that begin with NodeName: each gives names, addresses and ports of many nodes.
#pragma once

#include "slurm/conf.hpp"
#include "slurm/lines.hpp"

#include <bitset>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace ubf::slurm {

class NodeLines {
  public:
    explicit NodeLines(Parsed& parsed)
      : parsed_(parsed) {}

    void take(const Line& line);
    // Puts the ports of all nodes into the result. SlurmdPort must be known.
    void finish();

  private:
    // How many nodes the line has; 0: it has a mistake.
    std::size_t take_hosts(const Place& at, std::string_view names, std::string_view addresses);
    void take_ports(const Place& at, std::size_t nodes, std::string_view ports);
    void mistake(const Place& at, std::string what);

    Parsed& parsed_;
    std::string default_ports_; // of NodeName=DEFAULT
    std::bitset<65536> ports_;
    bool bad_ports_ = false;    // a list was wrong, and no other is read
    bool some_without_ = false; // a node has no port of its own
};

} // namespace ubf::slurm
