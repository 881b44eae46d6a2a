// Finds on this node the facts of a case: sockets and their owners, translation, sharers. It never
// waits for more than a system call; what takes a search or a question is the worker's to begin.
#pragma once

#include "daemon/gate/case.hpp"
#include "daemon/gate/rules.hpp"
#include "daemon/gate/shared.hpp"
#include "daemon/owners/sockets.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

namespace ubf {

class Finder {
  public:
    Finder(std::shared_ptr<const Rules> rules, Sockets& sockets, const Shared& shared);

    void set_rules(std::shared_ptr<const Rules> rules) { rules_ = std::move(rules); }

    // tracked: as the packet came with it. Two sockets may have one flow, where it was translated:
    // so the sender is sought by the flow that it had before.
    static void note_translation(Case& item, const TrackedConnection& tracked);
    // The same of a flow whose entry the kernel has by now: it began here, or was allowed.
    void find_translation(Case& item);

    // The sockets at those ends that are on this node, for all cases at once.
    std::span<const OwnerLookup::Ends> look_up(std::span<const Case> items);
    // Notes the place of the source, and the owners of both ends by uid. The destination was found,
    // or its lookup failed.
    void place(Case& item, const OwnerLookup::Ends& ends);
    // The owner behind a source at which nobody is asked.
    std::optional<Owner> unasked(const Case& item) const;
    bool on_this_node(const Case& item) const { return item.interface == sockets_.loopback(); }

    // end: destination or source.
    void learn(Case& item, Need end, Owner owner);
    // Its credentials, where they are known at once, or needless. False: a search must find them.
    bool know_credentials(Case& item, Need end);
    void find_sharers(Case& item);
    // Whether the site only observes such flows.
    bool observes(const Case& item);
    bool is_same_destination(const Case& item);
    bool is_stale(const Case& item) const; // a label changed, or a peer withdrew its answer

    const Policy& policy(const Case& item) const { return rules_->side(item.fabric).policy; }

  private:
    bool can_be_traced(const Case& item) const;
    void place_here(Case& item, const OwnerLookup::Found& source);

    std::shared_ptr<const Rules> rules_;
    Sockets& sockets_;
    Shared shared_;
    std::vector<OwnerLookup::Wanted> wanted_; // kept for their room
    std::vector<OwnerLookup::Ends> ends_;
};

// The end of a flow that this is for its owner.
ident::Role role_of(const Facts& facts, Need end);
// The socket of a case at that end, as it was looked up.
const SocketOwner& socket_of(const Case& item, Need end);

} // namespace ubf
