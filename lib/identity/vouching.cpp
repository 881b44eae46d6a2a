#include "identity/vouching.hpp"

#include <algorithm>

namespace ubf::identity {

std::string_view to_string(Vouching vouching) {
    switch (vouching) {
    case Vouching::counts:
        return "counts";
    case Vouching::unknown_class:
        return "unknown class";
    case Vouching::kernel:
        return "not for sockets of the kernel";
    case Vouching::user:
        return "not for this user";
    case Vouching::exempt:
        return "not for exempt users";
    case Vouching::no_grant:
        return "no grant";
    }
    return "?";
}

Vouching may_vouch(const ClassRule* rule, std::string_view node, const Vouched& owner,
                   std::span<const Grant> grants, Seconds now) {
    if (rule == nullptr)
        return Vouching::unknown_class;
    if (owner.is_kernel)
        return rule->kernel ? Vouching::counts : Vouching::kernel;
    const bool in_class = std::ranges::any_of(
        rule->users, [&](const UidRange& range) { return range.contains(owner.uid); });
    if (!in_class)
        return Vouching::user;
    if (owner.is_exempt)
        return rule->exempt ? Vouching::counts : Vouching::exempt;
    if (!rule->jobs)
        return Vouching::counts;
    const bool granted = std::ranges::any_of(grants, [&](const Grant& grant) {
        return grant.uid == owner.uid && grant.node == node && !grant.valid.fault(now);
    });
    return granted ? Vouching::counts : Vouching::no_grant;
}

} // namespace ubf::identity
