// A conversation with nf_tables over one netlink socket: transactions, requests and dumps.
//
// The kernel knows the owner of a table (NFT_TABLE_F_OWNER) by this socket. No other socket may
// change the table, and the table lives no longer than the socket. All writers of the table
// therefore share one Connection. Any thread may use it; each conversation waits until the previous
// one is over.
#pragma once

#include "base/guarded.hpp"
#include "netlink/socket.hpp"
#include "nft/batch.hpp"

#include <atomic>
#include <cstdint>
#include <functional>

namespace ubf::nft {

class Connection {
  public:
    // Throws NftError.
    Connection();
    // Uses a socket that a predecessor left open. If there is none, or `kept` is something else,
    // opens a new one. Throws NftError.
    explicit Connection(UniqueFd kept);

    int fd() const { return fd_; }
    // The kernel's id for the socket.
    std::uint32_t port_id() const { return port_id_; }

    Batch begin(std::optional<std::uint32_t> generation = {}) {
        return Batch(sequence_, generation);
    }

    struct Outcome {
        int error = 0; // an errno; 0: everything is done
        Step failed;   // the first step that failed; if one fails, nothing is done
    };
    Outcome commit(Batch& batch);

    using Fill = std::function<void(nlmsghdr*)>;
    using Each = std::function<void(const nlmsghdr*)>;
    // Both send a request, and call `each` with every answer. They return 0 or an errno: ENOENT if
    // there is no such object, EINTR if the ruleset changed during a dump, which is then
    // incomplete.
    int get(std::uint16_t type, const Fill& fill, const Each& each);
    int dump(std::uint16_t type, const Fill& fill, const Each& each);

  private:
    int ask(std::uint16_t type, std::uint16_t flags, const Fill& fill, const Each& each);

    Guarded<NetlinkSocket> socket_; // for one conversation at a time
    const int fd_;
    const std::uint32_t port_id_;
    std::atomic<std::uint32_t> sequence_ = 0;
};

} // namespace ubf::nft
