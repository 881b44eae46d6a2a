// The RDMA connections of this node, as ubf-rdmad reports them, and how far each is judged. Pure:
// no I/O and no clock.
#pragma once

#include "daemon/core/event_loop.hpp"
#include "flow/flow.hpp"
#include "owner/owner.hpp"
#include "rdma/report.hpp"

#include <cstddef>
#include <functional>
#include <map>
#include <optional>

namespace ubf {

class RdmaBook {
  public:
    enum class Stage : std::uint8_t {
        open,   // to be judged
        asked,  // a peer is
        judged, // nothing more is to be done
    };
    struct Entry {
        rdma::Connection is;
        Owner owner; // of our end; unknown: its maker has ended
        Stage stage = Stage::open;
        bool counted = false;          // as seen
        TimePoint next{};              // to be judged, not earlier
        unsigned silences = 0;         // of the peer
        unsigned tries = 0;            // without an outcome
        std::optional<Uid> by_label{}; // the other end's, if a label allowed it
    };
    // More would be more than the adapters of a node can have.
    static constexpr std::size_t most_entries = std::size_t{1} << 17;

    // nullptr: there is no room.
    Entry* add(rdma::Connection connection, Owner owner);
    Entry* find(const rdma::CmKey& key);
    // Notes the state that the connection has by now. Nothing else of a connection changes.
    void update(Entry& entry, const rdma::Connection& now);
    void remove(const rdma::CmKey& key);
    void clear();
    std::size_t size() const { return entries_.size(); }
    void each(const std::function<void(Entry&)>& visit);

    // The other end of this connection, if that is on this node too. Here and in at(), connections
    // that were disconnected don't count.
    const Entry* counterpart(const Entry& entry) const;
    struct Found {
        bool any = false; // connections with these ends
        Owner owner{};    // of the source
    };
    // If two connections of different users have the same ends, in two port spaces, nobody can tell
    // which one is meant: the owner is unknown.
    Found at(const Flow& flow) const;

  private:
    void forget_ends(const Entry& entry);

    std::map<rdma::CmKey, Entry> entries_;
    std::multimap<Flow, rdma::CmKey> by_way_out_; // of those that are connected
};

} // namespace ubf
