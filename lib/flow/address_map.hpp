// Maps the addresses of one range to those of another, host by host.
#pragma once

#include "flow/address.hpp"

#include <vector>

namespace ubf {

class AddressMap {
  public:
    // False if the ranges differ in family or length, or if `from` overlaps an earlier range.
    bool add(const Prefix& from, const Prefix& to);

    // The address itself if no range holds it.
    Address operator()(const Address& address) const;
    bool empty() const { return ranges_.empty(); }

  private:
    struct Pair {
        Prefix from;
        Prefix to;
    };
    std::vector<Pair> ranges_;
};

} // namespace ubf
