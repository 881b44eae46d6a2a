// Watches this node's own set-up for obstacles to ubfd and for ways around it: addresses that no
// range lists, missing interfaces, rules of other tables. Each is logged once, at the start or
// while ubfd runs. So are the destinations of multicast that the ruleset drops,
// and the users whose connections it limits.
#pragma once

#include "config/config.hpp"
#include "daemon/core/event_loop.hpp"
#include "daemon/log/log.hpp"
#include "daemon/log/multicast_news.hpp"
#include "daemon/log/news.hpp"
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

    // To be called twice a second; cheap when nothing has changed.
    void look(const Config& config, TimePoint now);
    // The next look() reads all addresses again.
    void look_again() { addresses_due_ = {}; }
    // The warnings that hold now, each a sentence.
    std::vector<std::string> warnings() const;
    // Rules of other tables that can refuse flows that we allow, or write marks. Only
    // `ubfctl status` shows them.
    std::vector<std::string> others() const;
    // The users who began connections faster than [limits] says, within a minute.
    const std::vector<Uid>& over_limit() const { return over_limit_; }
    // Those among them of whom the log is to tell now.
    std::vector<Uid> newly_over_limit(TimePoint now) { return limit_.find(over_limit_, now).news; }

  private:
    std::vector<std::string> unlisted_addresses(const Config& config);
    std::vector<std::string> neighbour_warnings() const;
    void look_at_rules();
    void look_at_sets(const Config& config, TimePoint now);
    void tell(const std::vector<std::string>& before, const std::vector<std::string>& after);

    Log& log_;
    Links links_;
    nft::Connection connection_;
    const std::uint64_t neighbours_full_; // times, when we started
    TimePoint addresses_due_{};
    std::optional<std::uint32_t> generation_;
    std::vector<std::string> addresses_;
    std::vector<std::string> rules_;
    std::vector<std::string> others_;
    MulticastNews multicast_;
    News<Uid> limit_{std::chrono::minutes(10)};
    std::vector<Uid> over_limit_;
    TimePoint sets_due_{};
};

} // namespace ubf
