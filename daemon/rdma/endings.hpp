// Ends connections, by ubfd's orders: kills the process that holds the connector's end, and sees
// the connection go.
#pragma once

#include "daemon/core/event_loop.hpp"
#include "daemon/rdma/connections.hpp"
#include "daemon/rdma/target.hpp"
#include "rdma/report.hpp"

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace ubf::rdma {

class Endings {
  public:
    // The kernel's table by now; nothing if the kernel doesn't list it.
    using ListAgain = std::function<std::optional<std::vector<CmId>>()>;

    Endings(const Connections& connections, const ProcessSearch& processes, ListAgain list_again);

    // Kills only the process that made the connection, only if this node is the connector's, and
    // only if it is certain which process that is. Each order has one outcome, later.
    void order(const CmKey& key, TimePoint now);
    // To be called after each reading of the table.
    void look(TimePoint now);
    bool any() const { return !dying_.empty(); }
    std::vector<Outcome> take_outcomes() { return std::exchange(outcomes_, {}); }
    bool has_outcomes() const { return !outcomes_.empty(); }

  private:
    struct Dying {
        std::string program;
        TimePoint since; // the connection was seen
        TimePoint patience;
    };

    std::optional<std::string> obstacle(const Connections::Entry& entry) const;
    bool is_the_same(const Connections::Entry& entry, const Target& target) const;
    void not_ended(const CmKey& key, std::string why);

    const Connections& connections_;
    const ProcessSearch& processes_;
    ListAgain list_again_;
    std::map<CmKey, Dying> dying_;
    std::vector<Outcome> outcomes_;
};

} // namespace ubf::rdma
