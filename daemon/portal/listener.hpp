// The Unix socket at which portals ask. Its mode and group say who may connect.
#pragma once

#include "base/unique_fd.hpp"
#include "daemon/portal/clients.hpp"

#include <filesystem>
#include <optional>
#include <sys/stat.h>

namespace ubf::portal {

class Listener {
  public:
    // group: of the socket's file; nothing: this process's own. Another program may not listen
    // there. Throws std::system_error or std::runtime_error.
    Listener(std::filesystem::path path, std::optional<Gid> group);
    ~Listener();
    Listener(const Listener&) = delete;
    Listener& operator=(const Listener&) = delete;

    int fd() const { return socket_.get(); }
    // The next connection that waits, and who made it.
    struct Arrival {
        UniqueFd socket;
        Peer peer;
    };
    std::optional<Arrival> accept();
    void leave_file() { leaves_file_ = true; } // for a successor
    // Whether the socket's file still is where it was, with the same owner and mode.
    bool is_in_place() const;

  private:
    std::filesystem::path path_;
    UniqueFd socket_;
    struct stat file_ {};
    bool leaves_file_ = false;
};

} // namespace ubf::portal
