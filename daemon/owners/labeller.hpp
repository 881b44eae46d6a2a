// Finds the labels of an owner by the configured sources, from the details of its processes.
#pragma once

#include "base/guarded.hpp"
#include "config/config.hpp"
#include "daemon/core/counters.hpp"
#include "daemon/jobs/job_table.hpp"
#include "owner/owner.hpp"
#include "owner/process_search.hpp"

#include <memory>

namespace ubf {

class Labeller {
  public:
    Labeller(const JobTable& jobs, const Config::Labels& sources, OwnerCounters& counters);

    void set_sources(const Config::Labels& sources);

    // The details that must be read of each process.
    ProcessDetails details() const;
    // Adds labels, and whether they are complete, to the credentials of that uid's socket, which
    // these processes hold. The credentials must have their groups already.
    void add_labels(Credentials& credentials, const SearchResult& processes, Uid uid) const;

    // The same for a user whom a web portal names: the map's labels alone, and no job.
    void add_mapped(Credentials& credentials, Uid uid) const;

  private:
    using Sources = std::shared_ptr<const Config::Labels>;

    void count(const Credentials& credentials) const;
    Sources sources() const { return *sources_.lock(); }

    const JobTable& jobs_;
    OwnerCounters& counters_;
    Guarded<Sources> sources_;
};

} // namespace ubf
