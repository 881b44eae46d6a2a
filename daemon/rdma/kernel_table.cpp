#include "daemon/rdma/kernel_table.hpp"

#include <cstring>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <map>
#include <system_error>
#include <utility>

namespace ubf::rdma {
namespace {

constexpr std::chrono::seconds count_pause{5};

// Without the subsystem, opening the socket could load a module that nobody needs.
bool has_subsystem() {
    std::error_code error;
    return std::filesystem::exists("/sys/class/infiniband", error);
}

// Whether this kernel has that file of a process. ubfd decides whether it needs what it says.
bool can_read(const char* file) {
    return std::ifstream(file).get() != std::ifstream::traits_type::eof();
}

} // namespace

KernelTable::KernelTable(std::function<void()> alive)
  : alive_(std::move(alive))
  , details_{can_read("/proc/self/cgroup"), can_read("/proc/self/attr/current")} {}

bool KernelTable::read(Connections& connections, TimePoint now) {
    if (!resources_ && has_subsystem())
        resources_ = Resources::open();
    if (!resources_) {
        state_ = "no RDMA subsystem in the kernel";
        return false;
    }
    auto devices = resources_->devices();
    auto table = devices ? resources_->cm_ids(*devices)
                         : Result<Table<CmId>, int>(fail(int{devices.error()}));
    if (!table) {
        state_ =
            fmt::format("the kernel does not list connections: {}", std::strerror(table.error()));
        resources_.reset(); // what is left of its answer is of no use
        return false;
    }
    reading_ = Clock::now() - now;
    devices_ = std::move(*devices);
    cm_ids_ = table->entries.size();
    foreign_ = table->skipped;
    connections.merge(table->entries, now);
    look_at_makers(connections);
    see_pairs(connections, now);
    state_ = devices_.empty() ? "no RDMA device" : "active";
    return !devices_.empty();
}

std::optional<std::vector<CmId>> KernelTable::list_again() {
    if (!resources_)
        return std::nullopt;
    auto table = resources_->cm_ids(devices_);
    if (!table)
        return std::nullopt;
    return std::move(table->entries);
}

void KernelTable::look_at_makers(Connections& connections) {
    std::map<CmKey, Holder> read;
    for (const auto& [key, task] : connections.take_new_makers()) {
        alive_();
        if (auto process = processes_.task(task, details_))
            read.emplace(key, std::move(*process));
    }
    if (read.empty())
        return;
    if (const auto again = list_again())
        connections.learn(std::move(read), *again);
}

// If the kernel doesn't list queue pairs, all connections count as established.
void KernelTable::see_pairs(Connections& connections, TimePoint now) {
    if (!connections.want_pairs() && now < next_count_)
        return;
    next_count_ = now + count_pause;
    const auto pairs = resources_->queue_pairs(devices_);
    unmanaged_pairs_ = connections.see(pairs ? pairs->entries : std::vector<QueuePair>{});
    if (!pairs)
        resources_.reset(); // as above
}

} // namespace ubf::rdma
