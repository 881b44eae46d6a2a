#include "owner/virtual_services.hpp"

#include "flow/own_address.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <fstream>
#include <optional>
#include <sstream>
#include <string>

namespace ubf {
namespace {

constexpr std::size_t most_bytes = 1 << 20;

template<typename T>
std::optional<T> hex(std::string_view text) {
    T value{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
    if (error != std::errc{} || end != text.data() + text.size())
        return std::nullopt;
    return value;
}

// "0A4D0002:1F40" or "[fd77:0000:...:0002]:1F40"; the numbers are in hexadecimal.
std::optional<Endpoint> parse_place(std::string_view text) {
    const auto colon = text.rfind(':');
    if (colon == std::string_view::npos)
        return std::nullopt;
    const auto port = hex<Port>(text.substr(colon + 1));
    auto address = text.substr(0, colon);
    if (!port)
        return std::nullopt;
    if (address.starts_with('[') && address.ends_with(']')) {
        const auto v6 = Address::parse(address.substr(1, address.size() - 2));
        return v6 ? std::optional(Endpoint{*v6, *port}) : std::nullopt;
    }
    const auto v4 = hex<std::uint32_t>(address);
    if (!v4)
        return std::nullopt;
    const std::array<std::uint8_t, 4> bytes{
        static_cast<std::uint8_t>(*v4 >> 24), static_cast<std::uint8_t>(*v4 >> 16),
        static_cast<std::uint8_t>(*v4 >> 8), static_cast<std::uint8_t>(*v4)};
    return Endpoint{Address::v4(bytes), *port};
}

std::optional<Protocol> parse_protocol(std::string_view word) {
    if (word == "TCP")
        return Protocol::tcp;
    if (word == "UDP")
        return Protocol::udp;
    return std::nullopt;
}

// Whether this node may be the standby of another director, where IPVS handles no packets.
bool may_be_on_standby() {
    int backup_only = 0;
    std::ifstream("/proc/sys/net/ipv4/vs/backup_only") >> backup_only;
    return backup_only != 0;
}

} // namespace

std::vector<VirtualService> parse_virtual_services(std::string_view text) {
    std::vector<VirtualService> services;
    bool in_service = false;
    std::istringstream lines{std::string(text)};
    for (std::string line; std::getline(lines, line);) {
        std::istringstream words(line);
        std::string first, place, forward;
        words >> first >> place >> forward;
        const auto parsed = parse_place(place);
        if (first != "->") {
            const auto protocol = parse_protocol(first);
            in_service = protocol && parsed;
            if (in_service)
                services.push_back({*protocol, *parsed, {}, false});
        } else if (in_service) {
            auto& service = services.back();
            service.is_local |= forward == "Local" || !parsed;
            if (parsed)
                service.servers.push_back(parsed->address);
        }
    }
    return services;
}

bool VirtualServices::any_at(Protocol protocol, const Endpoint& place) {
    constexpr std::chrono::seconds fresh{1};
    const auto now = std::chrono::steady_clock::now();
    if (read_ == std::chrono::steady_clock::time_point{} || now - read_ >= fresh) {
        read_ = now;
        read();
    }
    return std::ranges::any_of(services_, [&](const VirtualService& service) {
        return service.protocol == protocol && service.place.address == place.address &&
               (service.place.port == place.port || service.place.port == 0);
    });
}

// Finds nothing if IPVS is not loaded.
void VirtualServices::read() {
    services_.clear();
    std::ifstream file("/proc/net/ip_vs");
    if (!file || may_be_on_standby())
        return;
    std::string text(most_bytes, '\0');
    file.read(text.data(), static_cast<std::streamsize>(text.size()));
    text.resize(static_cast<std::size_t>(file.gcount()));
    services_ = parse_virtual_services(text);
    if (text.size() == most_bytes && !services_.empty())
        services_.pop_back(); // its servers may be cut off
    const auto own = own_addresses();
    const auto is_here = [&](const Address& server) {
        return is_loopback(server) ||
               std::ranges::find(own, server, &OwnAddress::address) != own.end();
    };
    std::erase_if(services_, [&](const VirtualService& service) {
        return service.is_local || std::ranges::any_of(service.servers, is_here);
    });
}

} // namespace ubf
