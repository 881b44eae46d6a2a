#include "policy/beyond.hpp"

namespace ubf {

std::optional<Owner> unasked(const Address& remote, const Address& local,
                             std::span<const Prefix> peers, const Policy& policy) {
    if (contains(peers, remote))
        return contains(policy.unready, remote) ? std::optional(Owner::unready()) : std::nullopt;
    return remote.is_on_link_only() || !contains(peers, local) ? Owner::unlisted()
                                                               : Owner::outside();
}

} // namespace ubf
