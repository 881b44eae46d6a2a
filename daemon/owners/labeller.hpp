// Finds the labels of an owner by the configured sources, from the details of its processes.
#pragma once

#include "config/config.hpp"
#include "daemon/core/counters.hpp"
#include "daemon/jobs/job_table.hpp"
#include "owner/owner.hpp"
#include "owner/process_search.hpp"

#include <memory>
#include <mutex>

namespace ubf {

class Labeller {
  public:
    Labeller(const JobTable& jobs, const Config::Labels& sources, Counters& counters);

    void set_sources(const Config::Labels& sources);

    // The details that must be read of each process.
    ProcessDetails details() const;
    // Adds labels, and whether they are complete, to the credentials of that uid's socket, which
    // these processes hold. The credentials must have their groups already.
    void add_labels(Credentials& credentials, const SearchResult& processes, Uid uid) const;

  private:
    std::shared_ptr<const Config::Labels> sources() const;

    const JobTable& jobs_;
    Counters& counters_;
    mutable std::mutex mutex_;
    std::shared_ptr<const Config::Labels> sources_;
};

} // namespace ubf
