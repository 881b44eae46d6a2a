#include "flow/own_address.hpp"

#include "base/unique_fd.hpp"

#include <cstring>
#include <ifaddrs.h>
#include <memory>
#include <net/if.h>
#include <netinet/in.h>
#include <span>
#include <sys/socket.h>

namespace ubf {
namespace {

struct FreeIfaddrs {
    void operator()(ifaddrs* list) const { ::freeifaddrs(list); }
};

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

} // namespace

std::vector<OwnAddress> own_addresses() {
    std::vector<OwnAddress> all;
    ifaddrs* list = nullptr;
    if (::getifaddrs(&list) < 0)
        return all;
    const std::unique_ptr<ifaddrs, FreeIfaddrs> owner(list);
    for (const auto* entry = list; entry != nullptr; entry = entry->ifa_next)
        if (const auto address = address_of(entry->ifa_addr))
            all.push_back({*address, ::if_nametoindex(entry->ifa_name), entry->ifa_name,
                           (entry->ifa_flags & IFF_LOOPBACK) != 0});
    return all;
}

bool is_loopback(const Address& address) {
    static const auto v4 = *Prefix::parse("127.0.0.0/8");
    static const auto v6 = *Prefix::parse("::1");
    return v4.contains(address) || v6.contains(address);
}

// Connecting a socket of UDP sends nothing.
std::optional<Address> source_to(const Address& target) {
    constexpr in_port_t any_port = 9; // discard
    sockaddr_storage place{};
    socklen_t size = sizeof(sockaddr_in6);
    if (target.is_v4()) {
        auto* v4 = reinterpret_cast<sockaddr_in*>(&place);
        v4->sin_family = AF_INET;
        v4->sin_port = htons(any_port);
        std::memcpy(&v4->sin_addr, target.v4_bytes().data(), sizeof v4->sin_addr);
        size = sizeof(sockaddr_in);
    } else {
        auto* v6 = reinterpret_cast<sockaddr_in6*>(&place);
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(any_port);
        std::memcpy(&v6->sin6_addr, target.bytes().data(), sizeof v6->sin6_addr);
    }
    const UniqueFd fd(::socket(place.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    auto* address = reinterpret_cast<sockaddr*>(&place);
    if (!fd || ::connect(fd.get(), address, size) != 0 ||
        ::getsockname(fd.get(), address, &size) != 0)
        return std::nullopt;
    return address_of(address);
}

std::optional<std::uint32_t> interface_of(const Address& address) {
    for (const auto& own : own_addresses())
        if (own.address == address)
            return own.interface;
    return std::nullopt;
}

} // namespace ubf
