#include "daemon/core/plain_log.hpp"

#include "base/write_all.hpp"

#include <cstdlib>
#include <fmt/format.h>
#include <syslog.h>
#include <tuple>
#include <unistd.h>

namespace ubf {

PlainLog::PlainLog(const char* program)
  : program_(program)
  , to_journal_(std::getenv("JOURNAL_STREAM") != nullptr) {}

void PlainLog::info(const std::string& text) const {
    write(LOG_INFO, text);
}

void PlainLog::warning(const std::string& text) const {
    write(LOG_WARNING, text);
}

// In one piece: a reader sees whole lines.
void PlainLog::write(int priority, const std::string& text) const {
    const auto line = to_journal_ ? fmt::format("<{}>{}\n", priority, text)
                                  : fmt::format("{}: {}\n", program_, text);
    std::ignore = write_all(STDERR_FILENO, line); // if it fails, there is nobody to tell
}

} // namespace ubf
