#include "flow/host_addresses.hpp"

#include "flow/socket_address.hpp"

#include <algorithm>
#include <memory>
#include <netdb.h>

namespace ubf {

std::vector<Address> host_addresses(const std::string& name, int flags) {
    addrinfo wanted{};
    wanted.ai_socktype = SOCK_STREAM;
    wanted.ai_flags = flags;
    addrinfo* found = nullptr;
    if (::getaddrinfo(name.c_str(), nullptr, &wanted, &found) != 0)
        return {};
    const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> list(found, ::freeaddrinfo);
    std::vector<Address> addresses;
    for (const auto* one = list.get(); one != nullptr; one = one->ai_next)
        if (const auto address = address_of(one->ai_addr);
            address && std::ranges::find(addresses, *address) == addresses.end())
            addresses.push_back(*address);
    return addresses;
}

std::vector<Prefix> host_places(const std::string& name) {
    std::vector<Prefix> places;
    for (const auto& address : host_addresses(name))
        if (const auto place = Prefix::of(address, address.is_v4() ? 32 : 128))
            places.push_back(*place);
    return places;
}

} // namespace ubf
