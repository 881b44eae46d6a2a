// Our program on the interfaces that are watched, where packets come in (traffic control, clsact).
// Interfaces come, go and get other names: those that are there have it, and nobody else's filters
// are touched.
#pragma once

#include "config/config.hpp"
#include "netlink/link.hpp"

#include <cstdint>
#include <map>
#include <string>

namespace ubf {

class Filters {
  public:
    struct Programs {
        int ethernet = -1;
        int fabric = -1;
    };

    // Throws std::system_error.
    Filters() = default;
    ~Filters() { remove(); }
    Filters(const Filters&) = delete;
    Filters& operator=(const Filters&) = delete;

    // Those that were not there before; or all, for somebody may have taken one off.
    enum class On : std::uint8_t { new_ones, all };
    // Takes CAP_NET_ADMIN. Says what failed, and where; empty: nothing.
    std::string put(Programs programs, const WatchedInterfaces& watched, bool has_fabric, On on);
    void remove();
    // Those of a ubfd before us as well.
    void remove_all();
    std::size_t size() const { return on_.size(); }

  private:
    void take_off(std::uint32_t interface, bool is_our_hook);

    Links links_;
    std::map<std::uint32_t, bool> on_; // interfaces; whether the hook there is ours, too
};

} // namespace ubf
