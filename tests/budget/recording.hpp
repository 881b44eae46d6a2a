// What a kernel once said to ubfd (recording.txt), to be said again.
#pragma once

#include "base/types.hpp"
#include "netlink/message.hpp"

#include <array>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

namespace ubf::budget {

using netlink::Bytes;
using Message = std::vector<std::uint8_t>; // of netlink

// A connection that began: its first packet, and the sockets at its ends. It can be told again as
// another one, which comes from another port.
class RecordedFlow {
  public:
    RecordedFlow(std::string kind, Message packet);
    void add(Message asked, Message answered);

    const std::string& kind() const { return kind_; } // "tcp v4 same-node"
    Message packet(std::uint32_t id, Port from) const;
    // What sock_diag says to this request; nothing where it was never asked that.
    Message answer(Bytes request, Port from) const;
    static std::array<Port, 2> ports(Bytes request);

  private:
    std::string kind_;
    Message packet_;
    std::size_t id_at_ = 0; // where in it, as the next
    std::size_t ip_at_ = 0;
    std::size_t port_at_ = 0;
    Port port_ = 0;                                    // from which it came
    std::vector<std::pair<Message, Message>> answers_; // by request
};

// Throws std::runtime_error.
std::vector<RecordedFlow> read_recording(const std::filesystem::path& file);

} // namespace ubf::budget
