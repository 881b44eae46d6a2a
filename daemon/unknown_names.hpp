// Asks the user database again for those names of the configuration that it did not know.
#pragma once

#include "config/config.hpp"
#include "daemon/core/event_loop.hpp"

#include <future>
#include <optional>
#include <string>

namespace ubf {

class UnknownNames {
  public:
    // To be called every half second or so. The database may be slow, so another thread asks it,
    // twice a minute. Returns the configuration with more names than before, once it has it. A
    // slurm.conf that had a mistake is read again; a good one is taken as it was. file: for
    // messages.
    std::optional<Config> look(const Config& config, const std::string& file, TimePoint now);

  private:
    void ask(const Config& config, const std::string& file);

    std::optional<std::future<Config>> asked_;
    TimePoint last_ = Clock::now();
};

} // namespace ubf
