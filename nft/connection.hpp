// A conversation with nf_tables over one netlink socket: transactions, requests and dumps.
//
// The kernel knows the owner of a table (NFT_TABLE_F_OWNER) by this socket: it lets no other change
// the table, and the table lives no longer than the socket. So all who write into the table share
// one Connection. Any thread may use it; a conversation waits until the one before it is over.
#pragma once

#include "netlink/socket.hpp"
#include "nft/batch.hpp"

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>

namespace ubf::nft {

class Connection {
  public:
    // Throws NftError.
    Connection();
    // Over a socket that a predecessor left open. A new one is opened where there is none, or where
    // it is something else. Throws NftError.
    explicit Connection(UniqueFd kept);

    int fd() const { return socket_.fd(); }
    // By which the kernel knows the socket.
    std::uint32_t port_id() const { return socket_.port_id(); }

    Batch begin(std::optional<std::uint32_t> generation = {}) {
        return Batch(sequence_, generation);
    }

    struct Outcome {
        int error = 0; // an errno; 0: everything is done
        Step failed;   // the first that did; when one does, nothing is done
    };
    Outcome commit(Batch& batch);

    using Fill = std::function<void(nlmsghdr*)>;
    using Each = std::function<void(const nlmsghdr*)>;
    // Both ask, `each` gets what is answered, and 0 or an errno is returned: ENOENT when there is
    // no such thing, EINTR when the ruleset changed under a dump, of which then only a part came.
    int get(std::uint16_t type, const Fill& fill, const Each& each);
    int dump(std::uint16_t type, const Fill& fill, const Each& each);

  private:
    int ask(std::uint16_t type, std::uint16_t flags, const Fill& fill, const Each& each);

    NetlinkSocket socket_;
    std::atomic<std::uint32_t> sequence_ = 0;
    std::mutex conversation_;
};

} // namespace ubf::nft
