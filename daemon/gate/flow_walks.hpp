// Walks over all allowed flows of a worker: lists them, ends them, or has them decided again. A
// walk takes a few flows at a time, so that no packet waits for it.
#pragma once

#include "daemon/gate/allowed_flows.hpp"

#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

namespace ubf {

class FlowWalks {
  public:
    struct Result {
        std::vector<AllowedFlow> flows{}; // that were listed
        bool truncated = false;           // there may be more of them
        std::size_t ended = 0;
        std::size_t not_ended = 0; // the kernel refused to
    };
    using Done = std::function<void(Result)>;

    // The calls to the kernel that a walk needs.
    enum class Ended : std::uint8_t { yes, over_already, refused };
    struct Kernel {
        std::function<bool(const AllowedFlow&)> is_over;
        std::function<Ended(const AllowedFlow&)> end;
    };

    FlowWalks(AllowedFlows& flows, Kernel kernel)
      : flows_(flows)
      , kernel_(std::move(kernel)) {}

    // The flows that are still there, `most` at most. Flows that have ended are forgotten.
    void list(FlowFilter filter, std::size_t most, Done done);
    void end(FlowFilter filter, Done done);
    // Calls `look` for each flow, cheap as it must be; a walk like this that is under way begins
    // anew.
    void look_at_all(std::function<void(AllowedFlows::Id, TimePoint now)> look);

    bool any() const { return looking_ || !walks_.empty(); }
    // The next few steps.
    void go_on(TimePoint now);

  private:
    using Id = AllowedFlows::Id;
    enum class Step : std::uint8_t { cheap, of_the_kernel, last };
    struct Walk {
        std::function<Step(Id, TimePoint now)> step;
        std::function<void()> done;
        Id next = 0;
    };

    struct List {
        FlowFilter filter;
        std::size_t most;
        std::shared_ptr<Result> result;
    };
    bool go_on(Walk& walk, TimePoint now);
    Step list_one(Id id, const List& list, TimePoint now);
    Step end_one(Id id, const FlowFilter& filter, Result& result, TimePoint now);

    AllowedFlows& flows_;
    Kernel kernel_;
    std::optional<Walk> looking_;
    std::deque<Walk> walks_;
};

} // namespace ubf
