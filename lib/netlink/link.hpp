// What the kernel says of an interface (rtnetlink, linux/if_link.h).
#pragma once

#include "base/result.hpp"
#include "netlink/socket.hpp"

#include <cstdint>
#include <optional>
#include <span>

namespace ubf {

struct Link {
    std::uint16_t type = 0; // ARPHRD_*
    // Of IPoIB: the partition, as its broadcast address has it (RFC 4391, 4).
    std::optional<std::uint16_t> pkey{};

    bool is_fabric() const;
};

// The kernel's answer to a request of that number. The error is an errno: ENOMSG when it answers
// another request, EBADMSG when it doesn't fit the format, or what the kernel said.
Result<Link, int> parse_link(std::span<const std::uint8_t> message, std::uint32_t sequence);

class Links {
  public:
    // Throws std::system_error.
    Links();

    // Of this network namespace. The error is an errno; ENODEV when there is no such interface.
    Result<Link, int> find(std::uint32_t interface);

  private:
    NetlinkSocket socket_;
    std::uint32_t sequence_ = 0;
};

} // namespace ubf
