// Notices that somebody changed the table inet ubf (NFNLGRP_NFTABLES of
// linux/netfilter/nfnetlink.h).
#pragma once

#include "netlink/message.hpp"
#include "netlink/socket.hpp"

#include <cstdint>
#include <vector>

namespace ubf::nft {

// Whether one of these messages says that a socket other than `own` (a netlink port id) changed the
// table. Pure; whatever the lengths in the messages say.
bool tells_of_change(netlink::Bytes messages, std::uint32_t own);

class ChangeNotices {
  public:
    // Hears nothing yet. Throws std::system_error.
    ChangeNotices();

    // 0, or the errno: from now on notices come, or none do.
    int begin();
    void end();
    bool begun() const { return begun_; }

    int fd() const { return socket_.fd(); } // readable when notices wait
    // Reads those that wait, a bounded number. True when one says so, or when notices were lost.
    bool receive(std::uint32_t own);

  private:
    NetlinkSocket socket_;
    std::vector<std::uint8_t> buffer_;
    bool begun_ = false;
};

} // namespace ubf::nft
