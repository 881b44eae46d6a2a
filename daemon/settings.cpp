#include "daemon/settings.hpp"

#include "base/replace_file.hpp"

#include <chrono>
#include <fmt/format.h>
#include <fmt/ranges.h>

namespace ubf {

Settings::Settings(Options options, Config config)
  : options_(std::move(options))
  , mistake_(options_.mistake)
  , start_(prepare(std::move(config))) {}

Start Settings::next(Config config) const {
    auto fresh = with_exceptions(prepare(std::move(config)), exceptions_.all());
    if (const auto names = need_restart(start_.config, fresh.config); !names.empty())
        throw ConfigError(fmt::format("changes of {} take effect at a restart only: restart "
                                      "ubfd, or undo them",
                                      fmt::join(names, ", ")));
    const auto& old_identities = start_.rules->terms->identities;
    const auto& identities = fresh.rules->terms->identities;
    if (old_identities && identities &&
        identities->roster()->is_older_than(*old_identities->roster()))
        throw ConfigError(fmt::format("{}: an older roster than the one that was read before, "
                                      "which may lack revoked serials; copy the newest",
                                      fresh.config.identity.roster.string()));
    return fresh;
}

RosterFile::Look Settings::look_at_roster() {
    const auto& identities = start_.rules->terms->identities;
    if (!identities || start_.config.identity.roster.empty())
        return {};
    return roster_.look(start_.config, *identities);
}

std::optional<Config> Settings::look_for_names(TimePoint now) {
    return names_.look(start_.config, options_.config_file.string(), now);
}

Start Settings::with_names(Config config) const {
    auto fresh = with_exceptions(prepare(std::move(config)), exceptions_.all());
    fresh.environment = start_.environment;
    return fresh;
}

std::optional<std::string> Settings::keep_as_last_good() const {
    if (options_.last_good.empty())
        return std::nullopt;
    const auto error = replace_file(options_.last_good, start_.config.source.text, Durable::yes);
    if (!error)
        return std::nullopt;
    return fmt::format("{}: can't be written: {}", options_.last_good.string(), error.message());
}

std::optional<std::string> Settings::begin_exceptions() {
    auto mistake = exceptions_.begin(start_.config.labels.state_directory / "exceptions.json",
                                     std::chrono::system_clock::now());
    start_ = again();
    return mistake;
}

} // namespace ubf
