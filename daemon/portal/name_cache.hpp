// Names that were looked up lately. At most 1,024; the one that expires next gives way.
#pragma once

#include "daemon/core/event_loop.hpp"
#include "flow/address.hpp"

#include <chrono>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

namespace ubf::portal {

class NameCache {
  public:
    static constexpr std::size_t most = 1024;
    static constexpr std::chrono::seconds lifetime{30};
    static constexpr std::chrono::seconds lifetime_of_none{5}; // of a name without an address

    // Nothing if the name must be looked up.
    std::optional<std::vector<Address>> find(const std::string& name, TimePoint now) const;
    void put(const std::string& name, std::vector<Address> addresses, TimePoint now);

  private:
    struct Entry {
        std::vector<Address> addresses;
        TimePoint until;
    };

    std::unordered_map<std::string, Entry> entries_;
};

} // namespace ubf::portal
