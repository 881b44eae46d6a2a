// The grants of jobs on this node, which go along with what peers are told of their users, and
// those of other nodes, which were checked. Reads no clock.
#pragma once

#include "daemon/core/rate.hpp"
#include "ident/sealed.hpp"
#include "identity/grant.hpp"
#include "identity/roster.hpp"

#include <cstddef>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace ubf::ident {

class GrantBook {
  public:
    static constexpr std::size_t most = 65536; // of other nodes

    using Own = std::map<Uid, Grants>; // of the users with jobs here
    void set_own(Own own) { own_.swap(own); }
    // Those of the users whom the answers name.
    Grants of(const Datagram& datagram) const;

    // A node has sent these. Keeps those that are good for it. A later one takes the place of an
    // earlier. rate: of this peer's, for each takes the check of a signature.
    struct When {
        TimePoint now;
        identity::Seconds wall;
    };
    void take(const Grants& grants, const std::string& node, const identity::Roster& roster,
              Rate& rate, When when);
    // The grant by which this user may be at that node, if there is one. It ends with its granter's
    // certificate.
    std::vector<identity::Grant> find(const std::string& node, Uid uid,
                                      const identity::Roster& roster, identity::Seconds now) const;

  private:
    struct Granted {
        identity::Grant grant;
        std::vector<std::uint8_t> bytes;
    };
    using Holder = std::pair<std::string, Uid>; // node, user

    Own own_;
    std::map<Holder, Granted> granted_;
};

} // namespace ubf::ident
