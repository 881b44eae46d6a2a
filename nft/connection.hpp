// Our conversation with nf_tables: transactions and dumps over a netlink socket of our own.
#pragma once

#include "netlink/socket.hpp"
#include "nft/batch.hpp"

#include <cstdint>
#include <functional>

namespace ubf::nft {

class Connection {
  public:
    // Throws NftError.
    Connection();

    Batch begin() { return Batch(sequence_); }

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
    std::uint32_t sequence_ = 0;
};

} // namespace ubf::nft
