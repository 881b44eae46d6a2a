#include "daemon/core/own_address.hpp"

#include <ifaddrs.h>
#include <memory>
#include <net/if.h>
#include <netinet/in.h>
#include <span>

namespace ubf {
namespace {

struct FreeIfaddrs {
    void operator()(ifaddrs* list) const { ::freeifaddrs(list); }
};

} // namespace

std::optional<std::uint32_t> interface_of(const Address& address) {
    ifaddrs* list = nullptr;
    if (::getifaddrs(&list) < 0)
        return std::nullopt;
    const std::unique_ptr<ifaddrs, FreeIfaddrs> owner(list);
    for (const auto* entry = list; entry != nullptr; entry = entry->ifa_next) {
        if (entry->ifa_addr == nullptr)
            continue;
        std::optional<Address> known;
        if (entry->ifa_addr->sa_family == AF_INET) {
            const auto* v4 = reinterpret_cast<const sockaddr_in*>(entry->ifa_addr);
            const auto* bytes = reinterpret_cast<const std::uint8_t*>(&v4->sin_addr);
            known = Address::v4(std::span<const std::uint8_t, 4>(bytes, 4));
        } else if (entry->ifa_addr->sa_family == AF_INET6) {
            const auto* v6 = reinterpret_cast<const sockaddr_in6*>(entry->ifa_addr);
            known = Address::v6(std::span<const std::uint8_t, 16>(v6->sin6_addr.s6_addr, 16));
        }
        if (known == address)
            return ::if_nametoindex(entry->ifa_name);
    }
    return std::nullopt;
}

} // namespace ubf
