// Notices of changes to the table inet ubf (NFNLGRP_NFTABLES of linux/netfilter/nfnetlink.h).
#pragma once

#include "netlink/message.hpp"
#include "netlink/socket.hpp"

#include <cstdint>
#include <vector>

namespace ubf::nft {

// Whether one of these messages says that a socket other than `own` (a netlink port id) changed the
// table. Pure, and safe whatever the lengths in the messages say.
bool tells_of_change(netlink::Bytes messages, std::uint32_t own);

class ChangeNotices {
  public:
    // Receives nothing before begin(). Throws std::system_error.
    ChangeNotices();

    // Subscribes to the notices. 0, or the errno.
    int begin();
    void end();
    bool begun() const { return begun_; }

    int fd() const { return socket_.fd(); } // readable when notices wait
    // Reads waiting notices, a bounded number. True if one tells of a change, or if notices were
    // lost.
    bool receive(std::uint32_t own);

  private:
    NetlinkSocket socket_;
    std::vector<std::uint8_t> buffer_;
    bool begun_ = false;
};

} // namespace ubf::nft
