// The jobs that run on this node, as they were registered: what a label of Slurm's comes from.
// Looked up from any thread; changed by the control socket's.
#pragma once

#include "label/slurm.hpp"

#include <cstddef>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace ubf {

class JobTable {
  public:
    using Entry = std::shared_ptr<const Job>;

    // By its id in digits, or by its SLUID; nothing where no such job was registered.
    Entry find(std::string_view name) const;
    std::vector<Entry> list() const;
    std::size_t size() const;

    // Returns the job that was registered under that id before, or nothing.
    Entry put(Job job);
    Entry remove(std::uint32_t id);

  private:
    Entry take(std::uint32_t id);

    mutable std::mutex mutex_;
    std::unordered_map<std::string, Entry> by_name_; // an entry may stand here twice
};

} // namespace ubf
