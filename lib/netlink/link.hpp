// What the kernel says of an interface (rtnetlink, linux/if_link.h).
#pragma once

#include "base/result.hpp"
#include "netlink/socket.hpp"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace ubf {

struct Link {
    std::uint32_t index = 0;
    std::string name{};
    std::uint16_t type = 0; // ARPHRD_*
    // Part of another, of a bridge or a bond, through which its packets come in. (Those of a VRF,
    // which is no more than a routing table, come in by themselves.)
    bool enslaved = false;
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
    // All of this network namespace. The error is an errno.
    Result<std::vector<Link>, int> list();

  private:
    int ask(std::uint16_t flags, std::uint32_t interface); // 0, or an errno

    NetlinkSocket socket_;
    std::uint32_t sequence_ = 0;
};

// Notices that an interface came, went, or is another (RTNLGRP_LINK).
class LinkNotices {
  public:
    // Throws std::system_error.
    LinkNotices();

    int fd() const { return socket_.fd(); } // readable when notices wait
    void discard();                         // those that wait, a bounded number

  private:
    NetlinkSocket socket_;
};

} // namespace ubf
