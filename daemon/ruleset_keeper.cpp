#include "daemon/ruleset_keeper.hpp"

#include <cerrno>
#include <cstring>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <linux/netfilter/nf_tables.h>
#include <utility>

namespace ubf {
namespace {

constexpr std::size_t most_repairs = 10;
constexpr std::chrono::minutes repair_window{1};
// Our own verdicts change the generation all the time, and to read the whole table costs more than
// they do.
constexpr std::chrono::seconds owned_table_is_read_each{10};
constexpr const char* how_to_import =
    "import what 'ubfctl ruleset' prints with 'nft -f', and include it in /etc/nftables.conf";

} // namespace

std::string_view to_string(RulesetKeeper::State state) {
    switch (state) {
    case RulesetKeeper::State::installed:
        return "installed";
    case RulesetKeeper::State::stand_in:
        return "stand-in";
    case RulesetKeeper::State::broken:
        return "broken";
    case RulesetKeeper::State::failed:
        return "failed";
    }
    return "?";
}

RulesetKeeper::RulesetKeeper(const Config& config, const nft::Environment& environment,
                             nft::Connection& table, nft::Ownership most, EventLoop& loop, Log& log)
  : wanted_(config.ruleset)
  , ruleset_(nft::make_ruleset(config, environment))
  , loop_(loop)
  , log_(log)
  , table_(table)
  , most_(most)
  , installer_(table) {
    loop_.watch(notices_.fd(), [this] {
        if (notices_.receive(table_.port_id()))
            look(Clock::now());
    });
}

RulesetKeeper::~RulesetKeeper() {
    loop_.forget(notices_.fd());
}

void RulesetKeeper::install() {
    const auto before = installer_.state();
    was_there_ = before && (before->flags & NFT_TABLE_F_DORMANT) == 0;
    put(ruleset_, wanted_.manage);
    if (!wanted_.manage)
        install_where_gone();
    was_made_anew();
    seen_.generation = installer_.generation().value_or(0);
}

void RulesetKeeper::install_where_gone() {
    constexpr int most_tries = 20; // changes by others interrupt us
    for (int i = 0; i < most_tries; ++i) {
        const auto import = read_import();
        if (!import)
            continue;
        using Import = nft::Imported::State;
        if (import->state == Import::complete)
            return;
        const bool may_stand_in = wanted_.stand_in && import->state != Import::altered;
        if (!may_stand_in)
            throw nft::NftError(fmt::format("ruleset.manage is false and the ruleset lacks: {}; {}",
                                            fmt::join(import->missing, ", "), how_to_import));
        try {
            installer_.install(nft::as_stand_in(ruleset_), nft::Ownership::none, seen_.generation);
            return stands_in();
        } catch (const nft::NftError& error) {
            if (error.code() != ERESTART)
                throw;
        }
    }
    throw nft::NftError("the ruleset cannot be read, or somebody changes it all the time");
}

// Reads the ruleset, and keeps its generation; nothing if the ruleset was changed meanwhile, or the
// kernel was busy. A ruleset with a fault is read twice: the first time, a transaction may have
// been on its way.
std::optional<nft::Imported> RulesetKeeper::read_import() {
    for (const bool again : {false, true}) {
        const auto generation = installer_.generation();
        auto import = nft::look_for_import(installer_, ruleset_);
        const auto after = installer_.generation();
        if (!generation || !import || !after || *generation != *after)
            return std::nullopt;
        using Import = nft::Imported::State;
        const bool good = import->state == Import::complete ||
                          (import->state == Import::stand_in && import->missing.empty());
        if (good || again) {
            seen_.generation = *generation;
            return std::move(*import);
        }
        installer_.await_transactions();
    }
    return std::nullopt;
}

void RulesetKeeper::stands_in() {
    if (state_ != State::stand_in)
        log_.error(
            fmt::format("the imported ruleset is gone, and ubfd's own stands in for it, until "
                        "you import it again: {}",
                        how_to_import));
    state_ = State::stand_in;
    missing_ = {"the imported ruleset; ubfd's own stands in for it"};
}

// A table that is made anew by one transaction is not whole at once (see nft/live_sets.hpp).
bool RulesetKeeper::was_made_anew() {
    try {
        const auto table = installer_.state();
        return table && std::exchange(seen_.handle, table->handle) != table->handle;
    } catch (const nft::NftError&) {
        return true; // not known: look for connections that came in
    }
}

// The administrator's own ruleset is left alone while it is there. False, and nothing is known, if
// it was changed meanwhile, or the kernel was busy.
bool RulesetKeeper::look_at_import(TimePoint now) {
    const auto import = read_import();
    if (!import)
        return false;
    using Import = nft::Imported::State;
    const bool anew = was_made_anew();
    if (import->state == Import::complete) {
        if (state_ != State::installed)
            log_.info("the imported ruleset is complete again");
        if (state_ != State::installed || anew)
            became_whole();
    } else if (import->state == Import::stand_in && import->missing.empty()) {
        stands_in();
    } else if (import->state == Import::stand_in ||
               (import->state == Import::gone && wanted_.stand_in)) {
        missing_ = import->missing;
        return repair(now);
    } else {
        if (missing_ != import->missing)
            log_.error(fmt::format("the imported ruleset lacks {}; {}",
                                   fmt::join(import->missing, ", "), how_to_import));
        state_ = State::broken;
        missing_ = import->missing;
    }
    return true;
}

// Nobody else can change a table that our socket owns. So we own none that the administrator
// manages.
void RulesetKeeper::put(const nft::Ruleset& ruleset, bool manage) {
    if (manage)
        installer_.install(ruleset, most_);
    else if (installer_.owned())
        installer_.install(ruleset, nft::Ownership::none);
    owned_ = installer_.owned();
    listen();
}

// A table that our socket owns never changes without us.
void RulesetKeeper::listen() {
    if (owned_ && notices_.begun())
        notices_.end();
    if (owned_ || notices_.begun())
        return;
    if (const int error = notices_.begin(); error != 0)
        log_.warning(fmt::format("the kernel does not tell of changes of the ruleset: {}; it is "
                                 "looked at twice a second instead",
                                 std::strerror(error)));
}

void RulesetKeeper::replace(const Config& config, const nft::Environment& environment) {
    auto ruleset = nft::make_ruleset(config, environment);
    put(ruleset, config.ruleset.manage);
    if (!config.ruleset.manage && state_ == State::stand_in)
        installer_.install(nft::as_stand_in(ruleset));
    wanted_ = config.ruleset;
    ruleset_ = std::move(ruleset);
    seen_.generation = 0; // look again
}

void RulesetKeeper::want(const Config& config, const nft::Environment& environment) {
    ruleset_ = nft::make_ruleset(config, environment);
    seen_.generation = 0; // look again
}

void RulesetKeeper::look(TimePoint now) {
    const auto generation = installer_.generation();
    const bool unchanged = generation && *generation == seen_.generation;
    if (unchanged && (state_ == State::installed || state_ == State::stand_in))
        return;
    // Nobody else can change it.
    if (owned_ && state_ == State::installed && seen_.generation != 0 &&
        now - seen_.read < owned_table_is_read_each)
        return;
    if (!wanted_.manage) {
        constexpr int most_tries = 3; // the next look goes on
        for (int i = 0; i < most_tries && !look_at_import(now); ++i) {
        }
        return;
    }
    const auto missing = installer_.missing(ruleset_);
    if (!missing)
        return; // the kernel was busy; the next look asks again
    seen_.generation = generation.value_or(0);
    seen_.read = now;
    missing_ = *missing;
    if (missing_.empty()) {
        if (state_ == State::installed)
            return;
        log_.info("the ruleset is complete again");
        return became_whole();
    }
    repair(now);
}

// False if another process is importing the ruleset at this moment.
bool RulesetKeeper::repair(TimePoint now) {
    std::erase_if(repairs_.recent, [&](TimePoint when) { return now - when > repair_window; });
    if (repairs_.recent.size() >= most_repairs) {
        if (state_ != State::failed)
            log_.error(fmt::format(
                "the ruleset was broken {} times within a minute; it waits now before it "
                "is put back again: find what flushes it, or set ruleset.manage = "
                "false and import it beside your own",
                most_repairs));
        state_ = State::failed;
        return true;
    }
    repairs_.recent.push_back(now);
    ++repairs_.total;
    if (wanted_.manage)
        log_.warning(
            fmt::format("the ruleset lacks {}; putting it back", fmt::join(missing_, ", ")));
    try {
        if (wanted_.manage)
            put(ruleset_, true);
        else
            installer_.install(nft::as_stand_in(ruleset_), nft::Ownership::none, seen_.generation);
        seen_.generation = installer_.generation().value_or(0);
        became_whole();
        if (!wanted_.manage)
            stands_in();
    } catch (const nft::NftError& error) {
        if (error.code() == ERESTART) {
            seen_.generation = 0; // look again
            repairs_.recent.pop_back();
            --repairs_.total;
            return false;
        }
        state_ = State::broken;
        log_.error(fmt::format("the ruleset could not be put back: {}", error.what()));
    }
    return true;
}

void RulesetKeeper::became_whole() {
    state_ = State::installed;
    missing_.clear();
    whole_();
}

void RulesetKeeper::remove() {
    if (wanted_.manage)
        installer_.remove();
}

} // namespace ubf
