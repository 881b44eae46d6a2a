// The sockets of this node, where a portal's socket belongs to the user for whom it speaks.
#pragma once

#include "daemon/owners/sockets.hpp"
#include "daemon/tickets/tickets.hpp"

#include <span>
#include <vector>

namespace ubf {

class PortalSockets final : public KernelSockets {
  public:
    // use: look, if what is looked up begins nothing. Throws std::system_error.
    PortalSockets(Tickets& tickets, Tickets::Use use)
      : tickets_(tickets)
      , use_(use) {}

    void find(std::span<const OwnerLookup::Wanted> wanted,
              std::vector<OwnerLookup::Ends>& ends) override {
        KernelSockets::find(wanted, ends);
        for (std::size_t i = 0; i < wanted.size(); ++i)
            if (ends[i].sender)
                tickets_.identify(*ends[i].sender, wanted[i].flow, use_);
    }
    OwnerLookup::Found sender(const Flow& flow, std::uint32_t interface) override {
        auto found = KernelSockets::sender(flow, interface);
        if (found)
            tickets_.identify(*found, flow, use_);
        return found;
    }

  private:
    Tickets& tickets_;
    const Tickets::Use use_;
};

} // namespace ubf
