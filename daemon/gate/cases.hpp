// The cases of one worker that wait: for an answer, or for a search. Pure memory; `now` is the
// caller's.
#pragma once

#include "base/deadlines.hpp"
#include "daemon/gate/case.hpp"

#include <memory_resource>
#include <optional>
#include <unordered_map>
#include <utility>

namespace ubf {

class Cases {
  public:
    // Until it is taken, or its deadline passes. `deadline` holds from the first wait on.
    void wait(Case&& item, TimePoint deadline);

    Case* find(const Flow& flow);
    // Only of this number: another case of the flow may wait by now.
    Case* find(const Flow& flow, std::uint64_t number);
    bool contains(const Flow& flow) const { return waiting_.contains(flow); }
    std::optional<Case> take(const Flow& flow);
    std::optional<Case> take_expired(TimePoint now);
    std::optional<Case> take_any();
    std::optional<TimePoint> next() const { return expiries_.next(); }
    bool empty() const { return waiting_.empty(); }

  private:
    // Keeps what the cases take, so that a packet costs no allocation.
    std::pmr::unsynchronized_pool_resource pool_;
    std::pmr::unordered_map<Flow, Case> waiting_{&pool_};
    Deadlines<std::pair<Flow, std::uint64_t>, Times::in_order> expiries_; // with their numbers
};

} // namespace ubf
