#include "flow/socket_address.hpp"

#include <cstring>
#include <netinet/in.h>
#include <span>

namespace ubf {

SocketAddress to_socket_address(const Endpoint& endpoint) {
    SocketAddress result;
    if (endpoint.address.is_v4()) {
        auto& v4 = reinterpret_cast<sockaddr_in&>(result.storage);
        v4.sin_family = AF_INET;
        v4.sin_port = htons(endpoint.port);
        std::memcpy(&v4.sin_addr, endpoint.address.v4_bytes().data(), sizeof v4.sin_addr);
        result.length = sizeof v4;
    } else {
        auto& v6 = reinterpret_cast<sockaddr_in6&>(result.storage);
        v6.sin6_family = AF_INET6;
        v6.sin6_port = htons(endpoint.port);
        std::memcpy(&v6.sin6_addr, endpoint.address.bytes().data(), sizeof v6.sin6_addr);
        result.length = sizeof v6;
    }
    return result;
}

std::optional<Address> address_of(const sockaddr* address) {
    if (address != nullptr && address->sa_family == AF_INET) {
        const auto* v4 = reinterpret_cast<const sockaddr_in*>(address);
        const auto* bytes = reinterpret_cast<const std::uint8_t*>(&v4->sin_addr);
        return Address::v4(std::span<const std::uint8_t, 4>(bytes, 4));
    }
    if (address != nullptr && address->sa_family == AF_INET6) {
        const auto* v6 = reinterpret_cast<const sockaddr_in6*>(address);
        return Address::v6(std::span<const std::uint8_t, 16>(v6->sin6_addr.s6_addr, 16));
    }
    return std::nullopt;
}

} // namespace ubf
