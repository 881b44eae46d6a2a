#include "daemon/gate/flow_walks.hpp"

#include <utility>

namespace ubf {
namespace {

// A step that asks the kernel takes some microseconds, and others a fraction of one: 200 us or so
// at a time.
constexpr unsigned most_a_walk = 1024;
constexpr unsigned cost_of_the_kernel = 16;

// The kernel may not have it yet.
bool is_young(const AllowedFlow& allowed, TimePoint now) {
    return now - allowed.since < AllowedFlows::handshake;
}

} // namespace

void FlowWalks::list(FlowFilter filter, std::size_t most, Done done) {
    const auto result = std::make_shared<Result>();
    walks_.push_back({[this, list = List{filter, most, result}](Id id, TimePoint now) {
                          return list_one(id, list, now);
                      },
                      [result, done = std::move(done)] { done(std::move(*result)); }});
}

void FlowWalks::end(FlowFilter filter, Done done) {
    const auto result = std::make_shared<Result>();
    walks_.push_back(
        {[this, filter, result](Id id, TimePoint now) { return end_one(id, filter, *result, now); },
         [result, done = std::move(done)] { done(std::move(*result)); }});
}

void FlowWalks::look_at_all(std::function<void(Id, TimePoint now)> look) {
    looking_ = Walk{[look = std::move(look)](Id id, TimePoint now) {
                        look(id, now);
                        return Step::cheap;
                    },
                    [] {}};
}

void FlowWalks::go_on(TimePoint now) {
    if (looking_ && go_on(*looking_, now))
        looking_.reset();
    if (!walks_.empty() && go_on(walks_.front(), now)) {
        const auto done = std::move(walks_.front().done);
        walks_.pop_front();
        done();
    }
}

// True when it is through.
bool FlowWalks::go_on(Walk& walk, TimePoint now) {
    for (unsigned spent = 0; walk.next < flows_.slots(); ++spent) {
        if (spent >= most_a_walk)
            return false;
        const Id id = walk.next++;
        if (!flows_.is_used(id))
            continue;
        switch (walk.step(id, now)) {
        case Step::cheap:
            break;
        case Step::of_the_kernel:
            spent += cost_of_the_kernel;
            break;
        case Step::last:
            return true;
        }
    }
    return true;
}

FlowWalks::Step FlowWalks::list_one(Id id, const List& list, TimePoint now) {
    auto& result = *list.result;
    const auto& entry = flows_[id];
    if (!list.filter.fits(entry) || entry.undecided)
        return Step::cheap;
    if (result.flows.size() >= list.most) {
        result.truncated = true;
        return Step::last;
    }
    if (!kernel_.is_over(entry))
        result.flows.push_back(entry);
    else if (!is_young(entry, now) && entry.place == AllowedFlows::Entry::Place::resting)
        flows_.remove(id);
    return Step::of_the_kernel;
}

FlowWalks::Step FlowWalks::end_one(Id id, const FlowFilter& filter, Result& result, TimePoint now) {
    const auto& entry = flows_[id];
    if (!filter.fits(entry))
        return Step::cheap;
    switch (kernel_.end(entry)) {
    case Ended::yes:
        ++result.ended;
        break;
    case Ended::refused:
        ++result.not_ended;
        return Step::of_the_kernel;
    case Ended::over_already:
        if (is_young(entry, now))
            return Step::of_the_kernel;
        break;
    }
    flows_.remove(id);
    return Step::of_the_kernel;
}

} // namespace ubf
