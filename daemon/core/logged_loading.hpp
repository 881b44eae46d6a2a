// Reloads of a small program, which nobody but its log tells how they went.
#pragma once

#include "daemon/core/loading.hpp"
#include "daemon/core/plain_log.hpp"

#include <filesystem>
#include <functional>

namespace ubf {

class LoggedLoading {
  public:
    using Take = std::function<void(const Config&)>;

    // For the start. Throws ConfigError. A user that the directory does not have yet is ubfd's to
    // tell of.
    static Config load(const std::filesystem::path& file);

    LoggedLoading(EventLoop& loop, std::filesystem::path file, const PlainLog& log, Take take);

    // Reads the file again, without waiting for its names. If it is bad, all stays as it is.
    void begin();

  private:
    Loading loading_;
};

} // namespace ubf
