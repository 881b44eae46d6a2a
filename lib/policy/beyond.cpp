#include "policy/beyond.hpp"

namespace ubf {

Owner beyond_peers(const Address& remote, const Address& local, std::span<const Prefix> peers) {
    return remote.is_on_link_only() || !contains(peers, local) ? Owner::unlisted()
                                                               : Owner::outside();
}

} // namespace ubf
