// Whose socket was at a place when a peer was last asked about a flow to it. Most likely it is
// there still: so the peer can be asked before our own socket was looked up. It decides nothing.
#pragma once

#include "base/types.hpp"
#include "flow/flow.hpp"

#include <array>
#include <cstddef>
#include <functional>
#include <optional>

namespace ubf {

class LastListeners {
  public:
    std::optional<Uid> find(const Flow& flow) const {
        const auto& entry = entries_[index(flow)];
        if (!entry || entry->protocol != flow.protocol || entry->place != flow.destination)
            return std::nullopt;
        return entry->uid;
    }

    // Pushes out whoever shares its place in the table.
    void add(const Flow& flow, Uid uid) {
        entries_[index(flow)] = Entry{flow.protocol, flow.destination, uid};
    }

    void forget(const Flow& flow) {
        if (find(flow))
            entries_[index(flow)].reset();
    }

  private:
    struct Entry {
        Protocol protocol;
        Endpoint place;
        Uid uid;
    };

    static constexpr std::size_t size = 256;

    static std::size_t index(const Flow& flow) {
        const auto& [address, port] = flow.destination;
        return (std::hash<Address>{}(address) + port + static_cast<std::size_t>(flow.protocol)) %
               size;
    }

    std::array<std::optional<Entry>, size> entries_;
};

} // namespace ubf
