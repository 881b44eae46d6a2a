// Recorded messages of a kernel to ubfd (recording.txt), for replay.
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
using Message = std::vector<std::uint8_t>; // a netlink message

// A recorded connection: its first packet, and the sockets at its ends. It can be replayed as
// another connection, from another port.
class RecordedFlow {
  public:
    RecordedFlow(std::string kind, Message packet);
    void add(Message asked, Message answered);

    const std::string& kind() const { return kind_; } // "tcp v4 same-node"
    Message packet(std::uint32_t id, Port from) const;
    // sock_diag's answer to this request; empty if the request was not recorded.
    Message answer(Bytes request, Port from) const;
    static std::array<Port, 2> ports(Bytes request);

  private:
    std::string kind_;
    Message packet_;
    std::size_t id_at_ = 0; // offset in the packet; so are the next two
    std::size_t ip_at_ = 0;
    std::size_t port_at_ = 0;
    Port port_ = 0;                                    // the recorded source port
    std::vector<std::pair<Message, Message>> answers_; // by request
};

// Throws std::runtime_error.
std::vector<RecordedFlow> read_recording(const std::filesystem::path& file);

} // namespace ubf::budget
