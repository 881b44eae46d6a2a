// The part of an identity that says how far the word of a node counts: by its class and by grants.
#include "daemon/ident/identities.hpp"

namespace ubf::ident {

void Identities::judge(const CertificatePtr& by, Owner& owner) const {
    const bool of_kernel = owner.kind == OwnerKind::kernel;
    if (!by || own_.classes.empty() || (owner.kind != OwnerKind::user && !of_kernel))
        return;
    const auto* of_class = own_.rule_of(by->node_class);
    const auto now = own_.clocks.seconds();
    const auto counts = [&](Uid uid, bool is_exempt) {
        std::vector<identity::Grant> grants;
        if (of_class != nullptr && of_class->jobs) {
            const auto book = book_.lock();
            grants = book->grants.find(by->name, uid, *book->roster, now);
        }
        return may_vouch(of_class, by->name, {of_kernel, uid, is_exempt}, grants, now);
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
    const auto by = proven(*book_.lock(), address, own_.clocks.seconds());
    if (!by && !own_.classes.empty())
        owner.word = Word::no_class;
    judge(by, owner);
}

} // namespace ubf::ident
