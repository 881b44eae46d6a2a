// The log of a small program: lines on standard error, with a priority where the journal reads them
// (sd-daemon(3)).
#pragma once

#include <string>

namespace ubf {

class PlainLog {
  public:
    explicit PlainLog(const char* program);

    void info(const std::string& text) const;
    void warning(const std::string& text) const;

  private:
    void write(int priority, const std::string& text) const;

    const char* const program_;
    const bool to_journal_;
};

} // namespace ubf
