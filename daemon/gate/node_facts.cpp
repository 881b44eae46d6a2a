#include "daemon/gate/node_facts.hpp"

#include "daemon/owners/owners.hpp"
#include "daemon/owners/sockets.hpp"

#include <netinet/tcp.h>

namespace ubf {
namespace {

void note_failure(Facts& facts, LookupError error) {
    if (error == LookupError::failed)
        facts.failed = Reason::internal_error;
}

Owner note_owner(Facts& facts, const OwnerLookup::Found& found) {
    if (found)
        return found->owner;
    note_failure(facts, found.error());
    return found.error() == LookupError::ambiguous ? Owner::shared() : Owner{};
}

} // namespace

void note_destination(Facts& facts, const OwnerLookup::Found& found) {
    facts.destination = note_owner(facts, found);
    facts.sharers_known =
        facts.flow.protocol != Protocol::tcp || !found || found->socket.state != TCP_LISTEN;
}

void note_source(Facts& facts, const OwnerLookup::Found& found) {
    facts.source = note_owner(facts, found);
}

void find_sharers(Facts& facts, SocketOwner& destination, std::uint32_t interface, Sockets& sockets,
                  const Owners& owners) {
    facts.sharers_known = true;
    if (!owners.may_share(facts.flow.destination.port))
        return;
    if (const auto error = sockets.add_sharing(destination, facts.flow, interface)) {
        note_failure(facts, *error);
        facts.destination = Owner::shared();
    } else if (!destination.sharing.empty()) {
        facts.destination = Owner::user(destination.owner.uid);
    }
}

bool is_observed(const Facts& facts, std::uint32_t interface, const Observation& observed,
                 Sockets& sockets) {
    if (!observed.any())
        return false;
    const auto link = observed.interfaces.empty() ? std::nullopt : sockets.link(interface);
    return observed.covers(facts.from_connector(), facts.flow.source.address,
                           link ? std::string_view(link->name) : std::string_view());
}

} // namespace ubf
