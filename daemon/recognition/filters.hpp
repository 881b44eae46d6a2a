// Attaches our program to the ingress of watched interfaces (traffic control, clsact), which come,
// go and are renamed. Leaves other programs' filters alone.
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

    // Only new interfaces; or all, as another program may have taken a filter off.
    enum class On : std::uint8_t { new_ones, all };
    // Takes CAP_NET_ADMIN. Returns a failure, with its interface; empty: none.
    std::string put(Programs programs, const WatchedInterfaces& watched, bool has_fabric, On on);
    void remove();
    // Removes a predecessor's as well.
    void remove_all();
    std::size_t size() const { return on_.size(); }

  private:
    void take_off(std::uint32_t interface, bool is_our_hook);

    Links links_;
    std::map<std::uint32_t, bool> on_; // interfaces; whether the hook there is ours, too
};

} // namespace ubf
