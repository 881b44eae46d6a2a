// Lists whose items must not repeat each other, sorted.
#pragma once

#include "config/value.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <iterator>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace ubf::config {

inline std::string describe(const PortRange& ports) {
    return fmt::format("{}-{}", ports.first, ports.last);
}
inline std::string describe(const ProtocolPorts& ports) {
    return describe(ports.ports);
}
inline std::string describe(const Exemption& exemption) {
    return fmt::format("{}-{}", value(exemption.users.first), value(exemption.users.last));
}
inline std::string describe(const Prefix& prefix) {
    return to_string(prefix);
}

inline PortRange extent(const PortRange& ports) {
    return ports;
}
inline PortRange extent(const ProtocolPorts& ports) {
    return ports.ports;
}
inline UidRange extent(const Exemption& exemption) {
    return exemption.users;
}
inline Range<Address> extent(const Prefix& prefix) {
    return {prefix.first(), prefix.last()};
}

// Whether two overlapping items must not stand in one list.
inline bool clash(const PortRange&, const PortRange&) {
    return true;
}
inline bool clash(const ProtocolPorts& a, const ProtocolPorts& b) {
    return (a.tcp && b.tcp) || (a.udp && b.udp);
}
inline bool clash(const Exemption& a, const Exemption& b) { // at each place only once
    return !a.at || !b.at || a.at->overlaps(*b.at);
}
inline bool clash(const Prefix&, const Prefix&) {
    return true;
}

// The items of a list, sorted by their span. No item may repeat another.
template<typename T>
std::vector<T> distinct(const Value& list, std::optional<T> (*read)(const Value&)) {
    struct Item {
        T what;
        Value where;
    };
    std::vector<Item> items;
    list.each([&](const Value& value) {
        if (auto what = read(value))
            items.push_back({std::move(*what), value});
    });
    std::ranges::stable_sort(items, {}, [](const Item& item) { return extent(item.what); });
    for (auto one = items.begin(); one != items.end(); ++one) {
        const auto end = std::find_if_not(one, items.end(), [&](const Item& other) {
            return extent(one->what).overlaps(extent(other.what));
        });
        const auto other = std::find_if(
            std::next(one), end, [&](const Item& item) { return clash(one->what, item.what); });
        if (other == end)
            continue;
        const bool in_order = other->where.is_after(one->where);
        const Item& earlier = in_order ? *one : *other;
        const Item& later = in_order ? *other : *one;
        list.attempt([&] {
            later.where.fail(fmt::format("{} overlaps {}; write each only once",
                                         describe(later.what), describe(earlier.what)));
        });
    }
    std::vector<T> all;
    all.reserve(items.size());
    for (auto& item : items)
        all.push_back(std::move(item.what));
    return all;
}

// For lists of users without a place of their own.
inline void add_users(std::vector<UidRange>& all, const UidRange& users, const Value& item) {
    for (const auto& other : all)
        if (users.overlaps(other))
            item.fail("overlaps another item; write each user only once");
    all.push_back(users);
}

// For lists of interfaces.
inline void add_interface(std::vector<InterfacePattern>& all, const Value& item) {
    const auto pattern = item.interface();
    for (const auto& other : all)
        if (other == pattern)
            item.fail(fmt::format("'{}' stands here twice; write it once", pattern.text()));
        else if (other.overlaps(pattern))
            item.fail(fmt::format("'{}' overlaps '{}'; write each only once", pattern.text(),
                                  other.text()));
    all.push_back(pattern);
}

inline std::vector<PortRange> port_ranges(const Value& list) {
    return distinct<PortRange>(list,
                               [](const Value& item) { return std::optional(item.port_range()); });
}

inline std::vector<ProtocolPorts> exempt_ports(const Value& list) {
    return distinct<ProtocolPorts>(
        list, [](const Value& item) { return std::optional(item.protocol_ports()); });
}

inline std::vector<Prefix> prefixes(const Value& list) {
    return distinct<Prefix>(list, [](const Value& item) { return std::optional(item.prefix()); });
}

inline std::vector<Exemption> exemptions(const Value& list) {
    return distinct<Exemption>(list, [](const Value& item) { return item.exemption(); });
}

} // namespace ubf::config
