// Sees that the table is there: installs it, looks after it, and restores it when somebody flushed
// or changed it. If the administrator owns the table, it only logs the missing parts.
//
// If our socket can own the table, nobody else can flush or change it. Otherwise the kernel
// notifies us of each change, and the table is restored within milliseconds. A look at the table is
// due twice a second; one that our socket owns is read every ten seconds.
#pragma once

#include "config/config.hpp"
#include "daemon/core/event_loop.hpp"
#include "daemon/log/log.hpp"
#include "nft/change_notices.hpp"
#include "nft/installer.hpp"
#include "nft/ruleset.hpp"
#include "nft/stand_in.hpp"

#include <cstdint>
#include <functional>
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
        failed,   // repaired as often as a minute allows: another program keeps breaking it
    };

    // Nothing is installed yet. table: the socket that all writers of the table share. The socket
    // is to own the table as far as `most` says. Throws nft::NftError, std::system_error.
    RulesetKeeper(const Config& config, const nft::Environment& environment, nft::Connection& table,
                  nft::Ownership most, EventLoop& loop, Log& log);
    ~RulesetKeeper();

    // `whole` is called whenever the ruleset is whole again: connections that began meanwhile are
    // undecided.
    void on_whole_again(std::function<void()> whole) { whole_ = std::move(whole); }
    // Installs the table. If the administrator manages it, only a stand-in is installed, and only
    // if the table is gone and the configuration lets us. Otherwise throws NftError with the
    // missing parts.
    void install();
    // Replaces the rules within the skeleton, in one transaction; if it throws, the old ones stay.
    void replace(const Config& config, const nft::Environment& environment);
    // The next look() installs this ruleset; if that fails, later ones try again.
    void want(const Config& config, const nft::Environment& environment);
    // To be called twice a second, and when the kernel notifies us of a change.
    void look(TimePoint now);
    // Removes the table, verified. Throws NftError.
    void remove();

    State state() const { return state_; }
    bool managed() const { return wanted_.manage; }
    bool owned() const { return owned_; }         // by our socket
    bool was_there() const { return was_there_; } // the table, before it was installed
    std::uint64_t repairs() const { return repairs_.total; }
    const std::vector<std::string>& missing() const { return missing_; }
    nft::Installer& installer() { return installer_; }

  private:
    bool repair(TimePoint now);
    void install_where_gone();
    void stands_in();
    bool look_at_import(TimePoint now);
    std::optional<nft::Imported> read_import();
    bool was_made_anew();
    void put(const nft::Ruleset& ruleset, bool manage);
    void listen();
    void became_whole();

    Config::Ruleset wanted_;
    nft::Ruleset ruleset_;
    EventLoop& loop_;
    Log& log_;
    nft::Connection& table_;
    const nft::Ownership most_;
    nft::Installer installer_;
    nft::ChangeNotices notices_;
    std::function<void()> whole_ = [] {};
    bool owned_ = false;
    bool was_there_ = false;

    State state_ = State::installed;
    std::vector<std::string> missing_;
    // The table as it was seen last. generation: 0 has it read anew.
    struct Seen {
        std::uint32_t generation = 0;
        std::uint64_t handle = 0;
        TimePoint read{};
    };
    Seen seen_;
    // Those within the last minute are limited: another program may keep flushing the table.
    struct Repairs {
        std::uint64_t total = 0;
        std::vector<TimePoint> recent{};
    };
    Repairs repairs_;
};

std::string_view to_string(RulesetKeeper::State state);

} // namespace ubf
