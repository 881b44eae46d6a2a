#include "daemon/portal/name_cache.hpp"

#include <algorithm>
#include <utility>

namespace ubf::portal {

std::optional<std::vector<Address>> NameCache::find(const std::string& name, TimePoint now) const {
    const auto found = entries_.find(name);
    if (found == entries_.end() || found->second.until <= now)
        return std::nullopt;
    return found->second.addresses;
}

void NameCache::put(const std::string& name, std::vector<Address> addresses, TimePoint now) {
    if (entries_.size() >= most && !entries_.contains(name))
        entries_.erase(std::ranges::min_element(
            entries_, {}, [](const auto& entry) { return entry.second.until; }));
    const auto until = now + (addresses.empty() ? lifetime_of_none : lifetime);
    entries_[name] = {std::move(addresses), until};
}

} // namespace ubf::portal
