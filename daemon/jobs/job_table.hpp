// The jobs that run on this node, as they were registered: the source of Slurm's labels. Any thread
// may look them up; only the control socket's changes them.
#pragma once

#include "base/guarded.hpp"
#include "label/slurm.hpp"

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace ubf {

class JobTable {
  public:
    using Entry = std::shared_ptr<const Job>;

    // Finds a job by its id in digits, or by its SLUID; nothing if no such job was registered.
    Entry find(std::string_view name) const;
    std::vector<Entry> list() const;
    std::size_t size() const;

    // Returns the job that was registered under that id before, or nothing.
    Entry put(Job job);
    Entry remove(std::uint32_t id);

  private:
    using Names = std::unordered_map<std::string, Entry>; // ids and, of those that have one, SLUIDs

    static Entry take(Names& names, std::uint32_t id);

    Guarded<Names> names_;
};

} // namespace ubf
