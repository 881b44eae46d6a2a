// The kernel's data about network interfaces (rtnetlink, linux/if_link.h).
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
    // Part of a bridge or a bond, through which its packets come in. (Members of a VRF, which is no
    // more than a routing table, receive packets themselves.)
    bool enslaved = false;
    // The partition of an IPoIB interface, from its broadcast address (RFC 4391, 4).
    std::optional<std::uint16_t> pkey{};

    bool is_fabric() const;
};

// Reads the kernel's answer to a request of that number. The error is an errno: ENOMSG for an
// answer to another request, EBADMSG for a malformed message, or the kernel's error.
Result<Link, int> parse_link(std::span<const std::uint8_t> message, std::uint32_t sequence);

class Links {
  public:
    // Throws std::system_error.
    Links();

    // An interface of this network namespace. The error is an errno: ENODEV if there is none.
    Result<Link, int> find(std::uint32_t interface);
    // All interfaces of this network namespace. The error is an errno.
    Result<std::vector<Link>, int> list();

  private:
    int ask(std::uint16_t flags, std::uint32_t interface); // 0, or an errno

    NetlinkSocket socket_;
    std::uint32_t sequence_ = 0;
};

// Notices that an interface was added, removed or changed (RTNLGRP_LINK).
class LinkNotices {
  public:
    // Throws std::system_error.
    LinkNotices();

    int fd() const { return socket_.fd(); } // readable when notices wait
    void discard();                         // waiting notices, a bounded number

  private:
    NetlinkSocket socket_;
};

} // namespace ubf
