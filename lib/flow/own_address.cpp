#include "flow/own_address.hpp"

#include "base/unique_fd.hpp"
#include "flow/socket_address.hpp"

#include <ifaddrs.h>
#include <memory>
#include <net/if.h>
#include <sys/socket.h>

namespace ubf {
namespace {

struct FreeIfaddrs {
    void operator()(ifaddrs* list) const { ::freeifaddrs(list); }
};

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
    constexpr Port any = 9; // discard
    auto place = to_socket_address({target, any});
    const UniqueFd fd(::socket(place.family(), SOCK_DGRAM | SOCK_CLOEXEC, 0));
    if (!fd || ::connect(fd.get(), place.get(), place.length) != 0 ||
        ::getsockname(fd.get(), place.get(), &place.length) != 0)
        return std::nullopt;
    return address_of(place.get());
}

std::optional<std::uint32_t> interface_of(const Address& address) {
    for (const auto& own : own_addresses())
        if (own.address == address)
            return own.interface;
    return std::nullopt;
}

} // namespace ubf
