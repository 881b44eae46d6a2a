// The descriptors that systemd keeps for us while we restart, upgrade or crash (sd_notify(3),
// FDSTORE=1; sd_listen_fds(3)), so that packets in a socket's queue wait for our successor. Without
// systemd nothing is kept.
#pragma once

#include "base/unique_fd.hpp"

#include <map>
#include <string>

namespace ubf {

class DescriptorStore {
  public:
    // Takes over the descriptors that were kept.
    DescriptorStore();

    // Empty if none of that name was kept.
    UniqueFd take(const std::string& name);
    // Whether a service manager keeps descriptors for us.
    static bool is_there();
    // Whether a predecessor left something: this is no first start.
    bool had_any() const { return had_any_; }
    // Keeps it from now on; names have no colon.
    void keep(const std::string& name, int fd);
    // Keeps it no longer.
    void drop(const std::string& name);
    // Keeps this one in place of another of that name; -1: none.
    void replace(const std::string& name, int fd);
    // Waits until systemd has read our messages: from then on it keeps the descriptors even if we
    // crash. False if systemd takes too long.
    static bool settle();
    // Closes the descriptors that nobody took, and has systemd close them as well.
    void drop_rest();

  private:
    std::map<std::string, UniqueFd> kept_;
    bool had_any_ = false;
};

} // namespace ubf
