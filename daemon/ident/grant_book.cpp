#include "daemon/ident/grant_book.hpp"

#include <algorithm>

namespace ubf::ident {
namespace {

constexpr unsigned most_granted = 50; // a second, of one peer

// A grant whose granter is revoked or expired by now does not count.
bool is_good(const identity::Grant& grant, const identity::Roster& roster, identity::Seconds now) {
    const auto* granter = roster.find(grant.granter);
    return granter != nullptr && !granter->valid.fault(now) && !grant.valid.fault(now);
}

} // namespace

Grants GrantBook::of(const Datagram& datagram) const {
    Grants grants;
    const auto* answers = std::get_if<std::vector<Answer>>(&datagram.entries);
    if (answers == nullptr || own_.empty())
        return grants;
    for (const auto& answer : *answers)
        if (const auto found = own_.find(answer.owner.uid);
            answer.owner.kind == OwnerKind::user && found != own_.end())
            for (const auto& grant : found->second)
                if (std::ranges::find(grants, grant) == grants.end())
                    grants.push_back(grant);
    return grants;
}

void GrantBook::take(const Grants& grants, const std::string& node, const identity::Roster& roster,
                     Rate& rate, When when) {
    for (const auto& bytes : grants) {
        const auto said = identity::parse_grant(bytes);
        if (!said || said->node != node || said->valid.fault(when.wall))
            continue;
        const Holder holder{node, said->uid};
        const auto known = granted_.find(holder);
        if (known != granted_.end() && is_good(known->second.grant, roster, when.wall) &&
            (known->second.bytes == bytes || known->second.grant.valid.until > said->valid.until))
            continue;
        const auto* granter = roster.find(said->granter);
        if (granter == nullptr || !rate.add(when.now, most_granted))
            continue;
        auto grant = identity::check_grant(bytes, *granter, when.wall);
        if (!grant)
            continue;
        if (known != granted_.end())
            granted_.erase(known);
        if (granted_.size() >= most)
            std::erase_if(granted_, [&](const auto& entry) {
                return !is_good(entry.second.grant, roster, when.wall);
            });
        if (granted_.size() < most)
            granted_.insert_or_assign(holder, Granted{std::move(*grant), bytes});
    }
}

std::vector<identity::Grant> GrantBook::find(const std::string& node, Uid uid,
                                             const identity::Roster& roster,
                                             identity::Seconds now) const {
    const auto found = granted_.find({node, uid});
    if (found == granted_.end() || !is_good(found->second.grant, roster, now))
        return {};
    auto grant = found->second.grant;
    grant.valid.until = std::min(grant.valid.until, roster.find(grant.granter)->valid.until);
    return {grant};
}

} // namespace ubf::ident
