// The connections of this node, as the kernel's table shows them: which end each is, and who made
// it. Knows which news of them ubfd has not been told yet. Pure: no I/O and no clock.
#pragma once

#include "daemon/core/event_loop.hpp"
#include "netlink/rdma.hpp"
#include "rdma/ends.hpp"
#include "rdma/report.hpp"

#include <cstddef>
#include <map>
#include <optional>
#include <utility>
#include <vector>

namespace ubf::rdma {

class Connections {
  public:
    struct Entry {
        CmId id;
        bool seen = false; // as a connection, since then
        TimePoint since{}; // it was seen
        // Once it was seen. When it ends, the kernel need not name the addresses any more.
        End end = End::connector;
        Endpoint ours{};
        Endpoint theirs{};
        bool looked = false;             // for its maker
        std::optional<Holder> process{}; // that made it
        bool old = false;                // it was in the first table
        bool established = false;
        bool told = false; // to ubfd, as follows
        bool told_connected = false;
        bool told_established = false;
    };

    void merge(const std::vector<CmId>& table, TimePoint now);
    // The tasks that made new ids, to be looked at. Each is named once.
    std::vector<std::pair<CmKey, Pid>> take_new_makers();
    // If the kernel names the same maker before and after /proc was read, its pid was not reused in
    // between: the kernel names none once the task has ended.
    void learn(std::map<CmKey, Holder> read, const std::vector<CmId>& table_afterwards);
    // Whether the queue pairs are to be read: some connection is new, or not established yet.
    bool want_pairs() const { return want_pairs_; }
    // Returns how many users' queue pairs are connected without an id.
    std::size_t see(const std::vector<QueuePair>& pairs);

    const Entry* find(const CmKey& key) const;
    std::size_t size() const { return entries_.size(); }
    std::size_t number() const; // of connections

    void tell_all_again();
    bool has_news() const;
    // Adds news to the report, until it has become long.
    void tell(Report& report);

  private:
    static bool is_news(const Entry& entry);
    Connection describe(const Entry& entry) const;

    std::map<CmKey, Entry> entries_;
    Listeners listeners_before_;
    std::vector<CmKey> gone_; // that ubfd was told of
    bool begun_ = false;      // a table was read
    bool want_pairs_ = false;
};

} // namespace ubf::rdma
