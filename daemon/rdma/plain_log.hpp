// ubf-rdmad's own log: lines on standard error, with a priority where the journal reads them
// (sd-daemon(3)). ubfd logs what becomes of connections.
#pragma once

#include <string>

namespace ubf::rdma {

class PlainLog {
  public:
    PlainLog();

    void info(const std::string& text) const;
    void warning(const std::string& text) const;

  private:
    void write(int priority, const std::string& text) const;

    const bool to_journal_;
};

} // namespace ubf::rdma
