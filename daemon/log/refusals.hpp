// The refusals of this node, and those that peers told of: remembered here, written to a file that
// outlives us, and told to the connectors' nodes. Any thread may call.
#pragma once

#include "daemon/core/event_loop.hpp"
#include "daemon/log/refusal_memory.hpp"

#include <cstddef>
#include <filesystem>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace ubf {

class Refusals {
  public:
    // Called, without a lock, for what the connector's node is to hear.
    using Tell = std::function<void(const Refusal&)>;

    Refusals();

    void on_new(Tell tell);
    // Gives the denial its id.
    void add(Denial& denial);

    std::size_t size() const;
    std::vector<Refusal> list(std::size_t most,
                              const std::function<bool(const Refusal&)>& chosen) const;

    // Reads what a predecessor wrote, and from then on writes there. Nothing, or what is wrong.
    std::optional<std::string> begin(std::filesystem::path file);
    // To be called from time to time, and at the end: writes if there is news.
    std::optional<std::string> look(TimePoint now, bool last = false);

  private:
    std::optional<std::string> save() const;

    mutable std::mutex mutex_; // of the next three
    RefusalMemory memory_;
    bool changed_ = false;
    Tell tell_;

    std::filesystem::path file_; // the main thread's; empty: nowhere
    TimePoint saved_{};
};

} // namespace ubf
