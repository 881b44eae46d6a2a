#include "daemon/ruleset_keeper.hpp"

#include <cstring>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <linux/netfilter/nf_tables.h>

namespace ubf {
namespace {

constexpr std::size_t most_repairs = 10;
constexpr std::chrono::minutes repair_window{1};

} // namespace

std::string_view to_string(RulesetKeeper::State state) {
    switch (state) {
    case RulesetKeeper::State::installed:
        return "installed";
    case RulesetKeeper::State::broken:
        return "broken";
    case RulesetKeeper::State::failed:
        return "failed";
    }
    return "?";
}

RulesetKeeper::RulesetKeeper(const Config& config, nft::Environment environment,
                             nft::Connection& table, nft::Ownership most, EventLoop& loop, Log& log)
  : manage_(config.ruleset.manage)
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
    put(ruleset_, manage_);
    if (manage_) {
        generation_ = installer_.generation().value_or(0);
        return;
    }
    if (const auto missing = installer_.missing(ruleset_); !missing) {
        throw nft::NftError(fmt::format("reading the ruleset: {}", missing.error().what()));
    } else if (!missing->empty()) {
        throw nft::NftError(
            fmt::format("ruleset.manage is false and the ruleset lacks: {}; import what 'ubfctl "
                        "ruleset' prints with 'nft -f'",
                        fmt::join(*missing, ", ")));
    }
    generation_ = installer_.generation().value_or(0);
}

// Where the administrator sees to it, it must not stay ours: nobody but we could change it.
void RulesetKeeper::put(const nft::Ruleset& ruleset, bool manage) {
    if (manage)
        installer_.install(ruleset, most_);
    else if (installer_.owned())
        installer_.install(ruleset, nft::Ownership::none);
    owned_ = installer_.owned();
    listen();
}

// Of a table that is ours nobody can tell anything new.
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

void RulesetKeeper::replace(const Config& config, nft::Environment environment) {
    auto ruleset = nft::make_ruleset(config, environment);
    put(ruleset, config.ruleset.manage);
    manage_ = config.ruleset.manage;
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
    if (unchanged && state_ == State::installed)
        return;
    const auto missing = installer_.missing(ruleset_);
    if (!missing)
        return; // the kernel was busy; the next look asks again
    generation_ = generation.value_or(0);
    const bool news = missing_ != *missing;
    missing_ = *missing;
    if (missing_.empty()) {
        if (state_ == State::installed)
            return;
        log_.info("the ruleset is complete again");
        return became_whole();
    }
    if (manage_)
        return repair(now);
    state_ = State::broken;
    if (news)
        log_.error(fmt::format("the ruleset lacks {}; import what 'ubfctl ruleset' prints with "
                               "'nft -f'",
                               fmt::join(missing_, ", ")));
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
    log_.warning(fmt::format("the ruleset lacks {}; putting it back", fmt::join(missing_, ", ")));
    try {
        put(ruleset_, true);
        generation_ = installer_.generation().value_or(0);
        became_whole();
    } catch (const nft::NftError& error) {
        state_ = State::broken;
        log_.error(fmt::format("the ruleset could not be put back: {}", error.what()));
    }
}

void RulesetKeeper::became_whole() {
    state_ = State::installed;
    missing_.clear();
    whole_();
}

void RulesetKeeper::remove() {
    if (manage_)
        installer_.remove();
}

} // namespace ubf
