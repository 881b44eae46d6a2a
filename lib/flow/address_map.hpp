// Addresses of one range that stand for those of another, host by host.
#pragma once

#include "flow/address.hpp"

#include <vector>

namespace ubf {

class AddressMap {
  public:
    // False where the two are not of one family and length, or `from` overlaps one before.
    bool add(const Prefix& from, const Prefix& to);

    // The address itself where no range has it.
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
