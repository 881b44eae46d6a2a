#include "portal/target.hpp"

#include "base/text.hpp"

#include <algorithm>
#include <cctype>

namespace ubf::portal {
namespace {

constexpr std::size_t most_in_name = 253; // RFC 1035, 2.3.4
constexpr std::size_t most_in_label = 63;

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

bool is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool is_label(std::string_view label) {
    return !label.empty() && label.size() <= most_in_label && label.front() != '-' &&
           label.back() != '-' && std::ranges::all_of(label, [](char c) {
               return is_letter(c) || is_digit(c) || c == '-';
           });
}

// getaddrinfo() takes 167772167, 0x0a000007, 012.0.0.7 and 10.7 for addresses.
bool looks_like_number(std::string_view label) {
    return std::ranges::all_of(label, is_digit) ||
           (label.size() > 1 && label[0] == '0' && (label[1] == 'x' || label[1] == 'X'));
}

bool is_name(std::string_view text) {
    if (text.empty() || text.size() > most_in_name || text.back() == '.')
        return false;
    std::string_view last;
    while (!text.empty()) {
        last = split(text, '.');
        if (!is_label(last))
            return false;
    }
    return !looks_like_number(last);
}

std::optional<Port> port_of(std::string_view text) {
    const auto port = number<Port>(text);
    return port && *port != 0 && text.front() != '0' ? port : std::nullopt;
}

Result<Place, Refusal> address_place(std::string_view host, Port port) {
    const auto address = Address::parse(host);
    if (!address || to_string(*address) != to_lower(host))
        return fail(malformed("The target's address is not written in its usual form."));
    if (!is_reachable_kind(*address))
        return fail(not_a_target("A portal does not connect to this kind of address."));
    return Endpoint{*address, port};
}

bool looks_like_v4(std::string_view host) {
    return !host.empty() &&
           std::ranges::all_of(host, [](char c) { return is_digit(c) || c == '.'; });
}

} // namespace

bool is_reachable_kind(const Address& address) {
    const auto& bytes = address.bytes();
    if (address.is_on_link_only())
        return false;
    if (address.is_v4()) {
        const auto first = address.v4_bytes()[0];
        return first != 0 && first != 127 && first < 224; // 224: multicast, reserved, broadcast
    }
    if (bytes[0] == 0xff)
        return false;
    // ::, ::1, and addresses of IPv4 in an obsolete form (RFC 4291, 2.5.5.1)
    return !std::all_of(bytes.begin(), bytes.begin() + 12, [](auto byte) { return byte == 0; });
}

Result<Place, Refusal> parse_place(std::string_view text) {
    const auto colon = text.rfind(':');
    const auto port =
        colon == std::string_view::npos ? std::nullopt : port_of(text.substr(colon + 1));
    if (!port)
        return fail(malformed("The target has no port from 1 to 65535 behind a colon."));
    auto host = text.substr(0, colon);
    if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
        host = host.substr(1, host.size() - 2);
        if (host.find(':') == std::string_view::npos)
            return fail(malformed("There is no IPv6 address in the target's brackets."));
        return address_place(host, *port);
    }
    if (looks_like_v4(host))
        return address_place(host, *port);
    if (!is_name(host))
        return fail(malformed("The target is neither an address nor a host's name."));
    auto name = to_lower(host);
    if (name == "localhost" || name.ends_with(".localhost"))
        return fail(not_a_target("A portal does not connect to itself."));
    return Host{std::move(name), *port};
}

Result<Target, Refusal> parse_target(std::string_view text) {
    if (text.find(':') == std::string_view::npos && is_label(text) && !looks_like_number(text))
        return Forward{to_lower(text)};
    const auto place = parse_place(text);
    if (!place)
        return fail(place.error());
    return std::visit([](const auto& one) -> Target { return one; }, *place);
}

bool is_in(std::string_view name, std::span<const std::string> domains) {
    if (name.find('.') == std::string_view::npos)
        return true;
    return std::ranges::any_of(domains, [&](std::string_view domain) {
        if (domain.starts_with('.'))
            domain.remove_prefix(1);
        return name.size() > domain.size() && !domain.empty() && name.ends_with(domain) &&
               name[name.size() - domain.size() - 1] == '.';
    });
}

} // namespace ubf::portal
