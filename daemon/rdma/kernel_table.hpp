// Reads the kernel's table of connections, and who made them, into the connections.
#pragma once

#include "daemon/rdma/connections.hpp"
#include "netlink/rdma.hpp"
#include "owner/process_search.hpp"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace ubf::rdma {

class KernelTable {
  public:
    // alive: called now and then while the makers are looked at.
    // Throws std::system_error.
    explicit KernelTable(std::function<void()> alive);

    // False if there is nothing to see: state() says why.
    bool read(Connections& connections, TimePoint now);
    // The ids by now; nothing if the kernel doesn't list them.
    std::optional<std::vector<CmId>> list_again();

    const ProcessSearch& processes() const { return processes_; }
    const std::string& state() const { return state_; }  // "active", or why not
    Clock::duration reading() const { return reading_; } // how long the last one took
    std::uint64_t cm_ids() const { return cm_ids_; }
    std::uint64_t foreign() const { return foreign_; }
    std::uint64_t unmanaged_pairs() const { return unmanaged_pairs_; }

  private:
    void look_at_makers(Connections& connections);
    void see_pairs(Connections& connections, TimePoint now);

    std::function<void()> alive_;
    ProcessSearch processes_;
    ProcessDetails details_;
    std::optional<Resources> resources_;
    std::vector<std::uint32_t> devices_;
    std::string state_ = "starting";
    Clock::duration reading_{};
    TimePoint next_count_{};
    std::uint64_t cm_ids_ = 0;
    std::uint64_t foreign_ = 0; // ids whose addresses are not IP's
    std::uint64_t unmanaged_pairs_ = 0;
};

} // namespace ubf::rdma
