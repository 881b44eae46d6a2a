// The paths of cgroups by the ids that the kernel's records have, as /proc/PID/cgroup would have
// them. The kernel never reuses an id, so paths are cached.
#pragma once

#include "base/guarded.hpp"
#include "base/unique_fd.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>

namespace ubf {

// The inodes of the roots of both hierarchies, which are the ids of these; 0 where there is none.
struct CgroupRoots {
    std::uint64_t v1 = 0; // of the freezer
    std::uint64_t v2 = 0;
};

class CgroupPaths {
  public:
    // Knows the hierarchies that are mounted by now.
    CgroupPaths();

    int v2_fd() const { return v2_.fd ? v2_.fd.get() : -1; } // of the root
    CgroupRoots roots() const { return {v1_.root, v2_.root}; }

    // The lines of /proc/PID/cgroup for both ids; the path of id 0 is "/". Nothing if an id is not
    // known yet; never waits.
    std::optional<std::string> known(std::uint64_t v1, std::uint64_t v2) const;
    // Asks the kernel, which takes CAP_DAC_READ_SEARCH. Nothing if a cgroup is gone.
    std::optional<std::string> find(std::uint64_t v1, std::uint64_t v2);

  private:
    struct Hierarchy {
        std::string mount{};
        UniqueFd fd{};
        std::uint64_t root = 0;
    };
    using Paths = std::unordered_map<std::uint64_t, std::string>;
    struct Known {
        Paths v1;
        Paths v2;
    };
    static constexpr std::size_t most = 16384; // paths of each

    static Hierarchy open(const char* mount, long type);
    void learn(const Hierarchy& hierarchy, Paths Known::*paths, std::uint64_t id);

    Hierarchy v1_;
    Hierarchy v2_;
    Guarded<Known> known_;
};

} // namespace ubf
