// The configuration that holds: its file, the last good one, the exceptions that an administrator
// makes for a while, and all that is derived from them. The main thread's.
#pragma once

#include "config/config.hpp"
#include "config/scope.hpp"
#include "daemon/ident/identity_files.hpp"
#include "daemon/start.hpp"
#include "daemon/temporary_exceptions.hpp"
#include "daemon/unknown_names.hpp"

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace ubf {

class Settings {
  public:
    struct Options {
        std::filesystem::path config_file;
        // We keep the last good configuration in this file, for the next start; empty: nowhere.
        std::filesystem::path last_good{};
        bool leave_ruleset = false; // systemd's unit sees to the table when we are stopped
        std::string mistake{};      // of config_file, where we start with the last good one
    };

    // Throws as prepare().
    Settings(Options options, Config config);

    const Options& options() const { return options_; }
    const Config& config() const { return start_.config; }
    const nft::Environment& environment() const { return start_.environment; }
    const std::shared_ptr<const Rules>& rules() const { return start_.rules; }
    const Start& start() const { return start_; }
    Scope scope() const { return watched_scope(start_.config, start_.environment); }
    void hold(Start fresh) { start_ = std::move(fresh); } // from now on

    // The file as it is now, and all that follows. Throws, if it is bad or takes a restart.
    Start next(Config config) const;
    // The same configuration, with the exceptions of now.
    Start again() const { return with_exceptions(start_, exceptions_.all()); }
    // The configuration with more of its names, once the user database knows them. To be called
    // every half second or so.
    std::optional<Config> look_for_names(TimePoint now);
    Start with_names(Config config) const;

    // Another roster may have taken the place of the last. To be called every half second or so.
    RosterFile::Look look_at_roster();

    // The mistake in the file, while an older configuration holds; empty: none.
    const std::string& mistake() const { return mistake_; }
    void note_mistake(std::string mistake) { mistake_ = std::move(mistake); }
    // Nothing, or what is wrong.
    std::optional<std::string> keep_as_last_good() const;

    // Those from before a restart hold again. Nothing, or what is wrong.
    std::optional<std::string> begin_exceptions();
    TemporaryExceptions& exceptions() { return exceptions_; }

  private:
    const Options options_;
    std::string mistake_;
    UnknownNames names_;
    TemporaryExceptions exceptions_;
    RosterFile roster_;
    Start start_;
};

} // namespace ubf
