// Groups items by their key.
#pragma once

#include <algorithm>
#include <span>
#include <vector>

namespace ubf {

// Sorts the items by key, and calls `act` with a span for each group.
template<typename Item, typename Key, typename Act>
void each_group(std::vector<Item>& items, Key key, Act act) {
    std::ranges::sort(items, {}, key);
    for (auto begin = items.begin(); begin != items.end();) {
        const auto end = std::find_if(begin, items.end(),
                                      [&](const Item& item) { return key(item) != key(*begin); });
        act(std::span<Item>(begin, end));
        begin = end;
    }
}

} // namespace ubf
