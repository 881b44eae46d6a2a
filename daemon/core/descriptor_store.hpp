// The descriptors that systemd keeps for us while we restart, upgrade or crash (sd_notify(3),
// FDSTORE=1; sd_listen_fds(3)), so that what waits in a socket waits for our successor. Without
// systemd nothing is kept.
#pragma once

#include "base/unique_fd.hpp"

#include <map>
#include <string>

namespace ubf {

class DescriptorStore {
  public:
    // Takes over what was kept.
    DescriptorStore();

    // Empty where none of that name was kept.
    UniqueFd take(const std::string& name);
    // Whether somebody says that they keep what they are given.
    static bool is_there();
    // Whether a predecessor left something: this is no first start.
    bool had_any() const { return had_any_; }
    // To be kept from now on; names have no colon.
    void keep(const std::string& name, int fd);
    // Not any more.
    void drop(const std::string& name);
    // Waits until what was said is heard: from then on it is kept whatever becomes of us. False
    // where it takes too long.
    static bool settle();
    // Gives up those that nobody took; so does systemd.
    void drop_rest();

  private:
    std::map<std::string, UniqueFd> kept_;
    bool had_any_ = false;
};

} // namespace ubf
