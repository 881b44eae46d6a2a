#include "rdma/ends.hpp"

namespace ubf::rdma {

void Listeners::add(const CmId& id) {
    if (id.state == State::listen)
        ids_.emplace(std::tuple{id.port_space, id.v4, id.source}, id.key);
}

std::optional<CmKey> Listeners::of(const CmId& connection) const {
    const Port port = connection.source.port;
    const auto find = [&](bool v4, const Address& address) -> std::optional<CmKey> {
        const auto found =
            ids_.find(std::tuple{connection.port_space, v4, Endpoint{address, port}});
        return found == ids_.end() ? std::nullopt : std::optional(found->second);
    };
    if (auto key = find(connection.v4, connection.source.address))
        return key;
    if (connection.v4)
        if (auto key = find(true, *Address::parse("0.0.0.0")))
            return key;
    return find(false, Address{});
}

} // namespace ubf::rdma
