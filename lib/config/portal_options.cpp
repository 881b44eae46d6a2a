#include "config/portal_options.hpp"

#include "base/escape.hpp"
#include "base/text.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <string>
#include <string_view>

namespace ubf::config {
namespace {

// Letters, digits, hyphens and dots (RFC 1123, 2.1), with a dot between labels only.
bool is_domain(std::string_view name) {
    constexpr std::size_t most = 253;
    return !name.empty() && name.size() <= most && name.front() != '.' && name.back() != '.' &&
           name.find("..") == std::string_view::npos &&
           name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-.") ==
               std::string_view::npos;
}

} // namespace

void set_portal_users(Config& config, const Value& list) {
    constexpr std::size_t most = 16;
    auto& users = config.portal.users;
    users.clear();
    list.each([&](const Value& item) {
        const auto range = item.uids();
        if (!range)
            return;
        if (range->first != range->last)
            item.fail("a range of uids; write each user as whom a portal runs");
        if (range->first == Uid{0})
            item.fail("root is no user for a portal; run it as a user of its own");
        if (std::ranges::find(users, range->first) != users.end())
            item.fail("stands here twice; write it once");
        if (users.size() == most)
            item.fail(fmt::format("more than {} users", most));
        users.push_back(range->first);
    });
    std::ranges::sort(users);
}

void set_on_behalf(Config& config, const Value& list) {
    auto& ranges = config.portal.on_behalf;
    ranges.clear();
    list.each([&](const Value& item) {
        const auto range = item.uids();
        if (!range)
            return;
        if (range->contains(Uid{0}))
            item.fail("root is among them, and nobody is root by a portal; begin above 0");
        add_users(ranges, *range, item);
    });
}

void set_portal_domains(Config& config, const Value& list) {
    auto& domains = config.portal.domains;
    domains.clear();
    list.each([&](const Value& item) {
        auto name = to_lower(item.string());
        if (name.starts_with('.'))
            name.erase(0, 1);
        if (!is_domain(name))
            item.fail(fmt::format("'{}' is not the end of a name; write it like "
                                  "\"cluster.example.org\"",
                                  escape(name)));
        domains.push_back(std::move(name));
    });
}

void set_portal_group(Config& config, const Value& value) {
    config.portal.group.reset();
    if (!value.string_or_none().empty())
        config.portal.group = value.gid();
}

void set_source_ports(Config& config, const Value& list) {
    constexpr std::size_t most = 4096;
    auto& ports = config.portal.source_ports;
    ports.clear();
    for (const auto& range : port_ranges(list)) {
        if (range.first == 0)
            list.fail("0 is no port; begin above it");
        if (ports.size() + range.last - range.first >= most)
            list.fail(fmt::format("more than {} ports", most));
        for (unsigned port = range.first; port <= range.last; ++port)
            ports.push_back(static_cast<Port>(port));
    }
}

} // namespace ubf::config
