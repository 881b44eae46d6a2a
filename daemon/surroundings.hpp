// Watches this node's own set-up for obstacles to ubfd and for ways around it: addresses that no
// range lists, missing interfaces, rules of other tables. Each is logged once, at the start or
// while ubfd runs. So are the destinations of multicast that the ruleset drops.
#pragma once

#include "config/config.hpp"
#include "daemon/core/event_loop.hpp"
#include "daemon/log/log.hpp"
#include "daemon/log/multicast_news.hpp"
#include "netlink/link.hpp"
#include "nft/connection.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace ubf {

class Surroundings {
  public:
    // Throws std::system_error, nft::NftError.
    explicit Surroundings(Log& log);

    // Twice a second. Asks the kernel for little where nothing has changed.
    void look(const Config& config, TimePoint now);
    // By the next look.
    void look_again() { addresses_due_ = {}; }
    // Sentences, of all that holds now.
    std::vector<std::string> warnings() const;
    // Others that can refuse what we allow, or write marks: told by `ubfctl status` alone.
    std::vector<std::string> others() const;

  private:
    std::vector<std::string> unlisted_addresses(const Config& config);
    std::vector<std::string> neighbour_warnings() const;
    void look_at_rules();
    void look_at_multicast(TimePoint now);
    void tell(const std::vector<std::string>& before, const std::vector<std::string>& after);

    Log& log_;
    Links links_;
    nft::Connection connection_;
    const std::uint64_t neighbours_full_; // so often before
    TimePoint addresses_due_{};
    std::optional<std::uint32_t> generation_;
    std::vector<std::string> addresses_;
    std::vector<std::string> rules_;
    std::vector<std::string> others_;
    MulticastNews multicast_;
    TimePoint multicast_due_{};
};

} // namespace ubf
