// The part of an identity that says how far the word of a node counts: by its class, and by grants.
#include "daemon/ident/identities.hpp"
#include "identity/clock.hpp"

#include <algorithm>

namespace ubf::ident {
namespace {

using identity::seconds_now;

constexpr unsigned most_granted = 50; // a second, of one peer; each takes the check of a signature

} // namespace

void Identities::set_grants(OwnGrants grants) {
    book_.lock()->own_grants.swap(grants);
}

// The grants of the users whom the answers name.
Grants Identities::grants_for(const Book& book, const Datagram& datagram) {
    Grants grants;
    const auto* answers = std::get_if<std::vector<Answer>>(&datagram.entries);
    if (answers == nullptr || book.own_grants.empty())
        return grants;
    for (const auto& answer : *answers)
        if (const auto found = book.own_grants.find(answer.owner.uid);
            answer.owner.kind == OwnerKind::user && found != book.own_grants.end())
            for (const auto& grant : found->second)
                if (std::ranges::find(grants, grant) == grants.end())
                    grants.push_back(grant);
    return grants;
}

// A grant whose granter is revoked or expired by now does not count.
bool Identities::is_good(const Book& book, const identity::Grant& grant, identity::Seconds now) {
    const auto* granter = book.roster->find(grant.granter);
    return granter != nullptr && !granter->valid.fault(now) && !grant.valid.fault(now);
}

// Keeps the grants that are good for this node. A later one takes the place of an earlier.
void Identities::take(Book& book, Peer& peer, const std::string& node, const Grants& grants) const {
    const auto now = seconds_now();
    for (const auto& bytes : grants) {
        const auto said = identity::parse_grant(bytes);
        if (!said || said->node != node || said->valid.fault(now))
            continue;
        const Holder holder{node, said->uid};
        const auto known = book.grants.find(holder);
        if (known != book.grants.end() && is_good(book, known->second.grant, now) &&
            (known->second.bytes == bytes || known->second.grant.valid.until > said->valid.until))
            continue;
        const auto* granter = book.roster->find(said->granter);
        if (granter == nullptr || !peer.granting.add(Clock::now(), most_granted))
            continue;
        auto grant = identity::check_grant(bytes, *granter, now);
        if (!grant)
            continue;
        if (known != book.grants.end())
            book.grants.erase(known);
        if (book.grants.size() >= most_grants)
            std::erase_if(book.grants, [&](const auto& entry) {
                return !is_good(book, entry.second.grant, now);
            });
        if (book.grants.size() < most_grants)
            book.grants.insert_or_assign(holder, Granted{std::move(*grant), bytes});
    }
}

std::vector<identity::Grant> Identities::granted(const Book& book, const std::string& node,
                                                 Uid uid) {
    const auto found = book.grants.find({node, uid});
    if (found == book.grants.end() || !is_good(book, found->second.grant, seconds_now()))
        return {};
    auto grant = found->second.grant;
    grant.valid.until = std::min(grant.valid.until, book.roster->find(grant.granter)->valid.until);
    return {grant};
}

void Identities::judge(const CertificatePtr& by, Owner& owner) const {
    const bool of_kernel = owner.kind == OwnerKind::kernel;
    if (!by || own_.classes.empty() || (owner.kind != OwnerKind::user && !of_kernel))
        return;
    const auto* of_class = own_.rule_of(by->node_class);
    const auto counts = [&](Uid uid, bool is_exempt) {
        std::vector<identity::Grant> grants;
        if (of_class != nullptr && of_class->jobs)
            grants = granted(*book_.lock(), by->name, uid);
        return may_vouch(of_class, by->name, {of_kernel, uid, is_exempt}, grants, seconds_now());
    };
    const auto word = counts(owner.uid, false);
    owner.word = word == identity::Vouching::counts     ? Word::counts
                 : word == identity::Vouching::no_grant ? Word::no_grant
                                                        : Word::no_class;
    owner.may_be_exempt = counts(owner.uid, true) == identity::Vouching::counts;
    if (!owner.credentials)
        return;
    auto& told = *owner.credentials;
    if (of_class == nullptr || !of_class->groups) {
        told.gid.reset();
        told.groups.clear();
        told.labels.clear();
        told.labels_known = false;
        told.account.reset();
    }
    if (told.account && counts(*told.account, false) != identity::Vouching::counts)
        told.account.reset(); // the node would speak for that user
}

void Identities::judge_again(const Address& address, Owner& owner) const {
    const auto by = proven(*book_.lock(), address);
    if (!by && !own_.classes.empty())
        owner.word = Word::no_class;
    judge(by, owner);
}

} // namespace ubf::ident
