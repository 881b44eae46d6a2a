#include "daemon/gate/rules.hpp"

#include <algorithm>

namespace ubf {

std::optional<Label> Rules::partition(const Link& link) const {
    if (!link.pkey)
        return std::nullopt;
    auto label = pkey_label(*link.pkey);
    const bool listed = std::ranges::find(pkeys, label) != pkeys.end();
    return listed ? std::optional(std::move(label)) : std::nullopt;
}

} // namespace ubf
