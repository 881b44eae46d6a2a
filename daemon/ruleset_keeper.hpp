// Sees that the table is there: installs it, looks after it, puts it back when somebody
// flushed or changed it; or only says what is missing, where the administrator owns it.
#pragma once

#include "config/config.hpp"
#include "daemon/core/event_loop.hpp"
#include "daemon/log/log.hpp"
#include "nft/installer.hpp"
#include "nft/ruleset.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace ubf {

class RulesetKeeper {
  public:
    enum class State : std::uint8_t {
        installed,
        stand_in, // of an imported one that is gone
        broken,   // something is missing, and the administrator must put it back
        failed,   // repaired as often as a minute allows: somebody else keeps breaking it
    };

    // Nothing is installed yet. Throws nft::NftError.
    RulesetKeeper(const Config& config, nft::Environment environment, Log& log);

    // Installs the table; where it is the administrator's, only if theirs is gone and the
    // configuration lets us, and else throws NftError saying what is missing.
    void install();
    // Replaces what hangs in the skeleton, in one transaction; the old rules stay when it throws.
    void replace(const Config& config, nft::Environment environment);
    // The next look() puts it there, and goes on trying.
    void want(const Config& config, nft::Environment environment);
    // Twice a second.
    void look(TimePoint now);
    // Removes the table, verified. Throws NftError.
    void remove();

    State state() const { return state_; }
    bool managed() const { return manage_; }
    std::uint64_t repairs() const { return repairs_; }
    const std::vector<std::string>& missing() const { return missing_; }
    nft::Installer& installer() { return installer_; }

  private:
    void repair(TimePoint now);
    void install_where_gone();
    void stands_in();
    void look_at_import(TimePoint now);

    bool manage_;
    bool stand_in_; // while the administrator's own is gone
    nft::Ruleset ruleset_;
    Log& log_;
    nft::Installer installer_;

    State state_ = State::installed;
    std::vector<std::string> missing_;
    std::uint32_t generation_ = 0;
    std::uint64_t repairs_ = 0;
    // Repairs within the last while: past a few, it would be a fight.
    std::vector<TimePoint> recent_repairs_;
};

std::string_view to_string(RulesetKeeper::State state);

} // namespace ubf
