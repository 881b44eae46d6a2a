// A program's connection to a socket of ubfd. Never waits: whatever doesn't fit into the
// socket is kept until ubfd reads on.
#pragma once

#include "base/lines.hpp"
#include "base/unique_fd.hpp"
#include "daemon/core/event_loop.hpp"

#include <filesystem>
#include <functional>
#include <string>

namespace ubf {

class LineLink {
  public:
    // heard: gets each line. lost: told why the connection is over; it is closed by then.
    LineLink(EventLoop& loop, std::filesystem::path path,
             std::function<void(const std::string&)> heard,
             std::function<void(const std::string&)> lost);

    bool is_up() const { return static_cast<bool>(socket_); }
    // Nothing, or why it can't be made.
    std::string connect();
    void send(const std::string& line);
    // Closes the connection, and tells of it.
    void lose(const std::string& why);

  private:
    void read();
    void write();

    // More than this in one line was not written by ubfd.
    static constexpr std::size_t most_in_line = std::size_t{2} << 20;

    EventLoop& loop_;
    const std::filesystem::path path_;
    std::function<void(const std::string&)> heard_;
    std::function<void(const std::string&)> lost_;
    UniqueFd socket_;
    Lines in_;
    std::string out_;
    bool stuck_ = false; // the socket takes no more for now
};

} // namespace ubf
