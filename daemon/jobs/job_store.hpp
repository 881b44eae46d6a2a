// The jobs on disk, a file each, so that a restart of ubfd forgets none. A file
// from before the node's last boot is of a job that is over.
#pragma once

#include "label/slurm.hpp"

#include <filesystem>
#include <string>
#include <vector>

namespace ubf {

class JobStore {
  public:
    struct Kept {
        Job job;
        bool seen = false; // its cgroup was seen
    };

    // The directory is made when there is something to keep.
    explicit JobStore(const std::filesystem::path& directory);

    // The jobs of this boot. Files that can't be read, or are of an earlier boot, are deleted.
    std::vector<Kept> load() const;
    // Throws std::exception, and leaves the old file as it is.
    void save(const Kept& kept) const;
    void remove(std::uint32_t id) const;

  private:
    std::filesystem::path file_of(std::uint32_t id) const;

    std::filesystem::path directory_;
    std::string boot_;
};

} // namespace ubf
