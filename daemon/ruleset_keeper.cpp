#include "daemon/ruleset_keeper.hpp"

#include "nft/stand_in.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace ubf {
namespace {

constexpr std::size_t most_repairs = 10;
constexpr std::chrono::minutes repair_window{1};
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

RulesetKeeper::RulesetKeeper(const Config& config, nft::Environment environment, Log& log)
  : manage_(config.ruleset.manage)
  , stand_in_(config.ruleset.stand_in)
  , ruleset_(nft::make_ruleset(config, environment))
  , log_(log) {}

void RulesetKeeper::install() {
    if (manage_)
        installer_.install(ruleset_);
    else
        install_where_gone();
    generation_ = installer_.generation().value_or(0);
}

void RulesetKeeper::install_where_gone() {
    const auto import = nft::look_for_import(installer_, ruleset_);
    if (!import)
        throw nft::NftError(fmt::format("reading the ruleset: {}", import.error().what()));
    using Import = nft::Imported::State;
    if (import->state == Import::complete)
        return;
    const bool may_stand_in = stand_in_ && import->state != Import::altered;
    if (!may_stand_in)
        throw nft::NftError(fmt::format("ruleset.manage is false and the ruleset lacks: {}; {}",
                                        fmt::join(import->missing, ", "), how_to_import));
    installer_.install(nft::as_stand_in(ruleset_));
    stands_in();
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

// The administrator's own: left alone while it is there.
void RulesetKeeper::look_at_import(TimePoint now) {
    const auto generation = installer_.generation();
    const auto import = nft::look_for_import(installer_, ruleset_);
    if (!generation || !import)
        return; // the kernel was busy; the next look asks again
    generation_ = *generation;
    using Import = nft::Imported::State;
    if (import->state == Import::complete) {
        if (state_ != State::installed)
            log_.info("the imported ruleset is complete again");
        state_ = State::installed;
        missing_.clear();
    } else if (import->state == Import::stand_in && import->missing.empty()) {
        stands_in();
    } else if (import->state == Import::stand_in || (import->state == Import::gone && stand_in_)) {
        missing_ = import->missing;
        repair(now);
    } else {
        if (missing_ != import->missing)
            log_.error(fmt::format("the imported ruleset lacks {}; {}",
                                   fmt::join(import->missing, ", "), how_to_import));
        state_ = State::broken;
        missing_ = import->missing;
    }
}

void RulesetKeeper::replace(const Config& config, nft::Environment environment) {
    auto ruleset = nft::make_ruleset(config, environment);
    if (config.ruleset.manage)
        installer_.install(ruleset);
    else if (state_ == State::stand_in)
        installer_.install(nft::as_stand_in(ruleset));
    manage_ = config.ruleset.manage;
    stand_in_ = config.ruleset.stand_in;
    ruleset_ = std::move(ruleset);
    generation_ = 0; // look again
}

void RulesetKeeper::want(const Config& config, nft::Environment environment) {
    ruleset_ = nft::make_ruleset(config, environment);
    generation_ = 0; // look again
}

void RulesetKeeper::look(TimePoint now) {
    const auto generation = installer_.generation();
    const bool unchanged = generation && *generation == generation_;
    if (unchanged && (state_ == State::installed || state_ == State::stand_in))
        return;
    if (!manage_)
        return look_at_import(now);
    const auto missing = installer_.missing(ruleset_);
    if (!missing)
        return; // the kernel was busy; the next look asks again
    generation_ = generation.value_or(0);
    missing_ = *missing;
    if (missing_.empty()) {
        if (state_ != State::installed)
            log_.info("the ruleset is complete again");
        state_ = State::installed;
        return;
    }
    repair(now);
}

void RulesetKeeper::repair(TimePoint now) {
    std::erase_if(recent_repairs_, [&](TimePoint when) { return now - when > repair_window; });
    if (recent_repairs_.size() >= most_repairs) {
        if (state_ != State::failed)
            log_.error(fmt::format(
                "the ruleset was broken {} times within a minute; it waits now before it "
                "is put back again: find what flushes it, or set ruleset.manage = "
                "false and import it beside your own",
                most_repairs));
        state_ = State::failed;
        return;
    }
    recent_repairs_.push_back(now);
    ++repairs_;
    if (manage_)
        log_.warning(
            fmt::format("the ruleset lacks {}; putting it back", fmt::join(missing_, ", ")));
    try {
        installer_.install(manage_ ? ruleset_ : nft::as_stand_in(ruleset_));
        if (manage_) {
            state_ = State::installed;
            missing_.clear();
        } else {
            stands_in();
        }
        generation_ = installer_.generation().value_or(0);
    } catch (const nft::NftError& error) {
        state_ = State::broken;
        log_.error(fmt::format("the ruleset could not be put back: {}", error.what()));
    }
}

void RulesetKeeper::remove() {
    if (manage_)
        installer_.remove();
}

} // namespace ubf
