// The gates, a worker for each queue, and those that look after the flows of all of them.
#pragma once

#include "daemon/control/flows.hpp"
#include "daemon/core/counters.hpp"
#include "daemon/core/descriptor_store.hpp"
#include "daemon/gate/labelled_room.hpp"
#include "daemon/gate/undecided.hpp"
#include "daemon/gate/worker.hpp"
#include "daemon/ident_endpoint.hpp"
#include "daemon/life.hpp"

#include <cstddef>
#include <memory>
#include <optional>
#include <vector>

namespace ubf {

class Gates {
  public:
    using Workers = std::vector<std::unique_ptr<Worker>>;

    Gates();
    ~Gates();

    // Judges the packets of these queues from now on. Throws std::system_error.
    void begin(std::vector<std::unique_ptr<Queue>> queues, IdentEndpoint& ident,
               const std::shared_ptr<const Rules>& rules, Kernel kernel, const Shared& shared);
    // Those who look after the flows, on the loop's thread.
    void begin_looking(EventLoop& loop, Scope scope, FlowCounters& counters, Log& log);

    void set_rules(const std::shared_ptr<const Rules>& rules, bool review);
    void reconsider(Uid uid);
    // room: held until all have done so.
    void reconsider(const Flow& flow, const PeerShares::Room& room);
    void watch(Life& life) const;
    void keep_queues(DescriptorStore& store) const;
    void stop(); // all at once: each worker may wait for its last answer
    void clear();

    LabelledRoom& room() { return room_; }
    const Workers& workers() const { return workers_; }
    std::size_t flows() const; // remembered
    Undecided& undecided() { return *undecided_; }
    FlowDesk& desk() { return *desk_; }

    // By the loop.
    std::optional<TimePoint> next() const;
    void on_time(TimePoint now);

  private:
    LabelledRoom room_;
    Workers workers_;
    std::unique_ptr<Undecided> undecided_;
    std::unique_ptr<FlowDesk> desk_;
};

} // namespace ubf
