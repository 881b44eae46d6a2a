// The refusals of this node, and those that peers told of: remembered here, written to a file that
// outlives us, and told to the connectors' nodes. Any thread may call.
#pragma once

#include "base/guarded.hpp"
#include "daemon/core/event_loop.hpp"
#include "daemon/log/refusal_memory.hpp"

#include <cstddef>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace ubf {

class Refusals {
  public:
    // Called for refusals of which the connector's node is to hear; it must not wait.
    using Tell = std::function<void(const Refusal&)>;

    Refusals();

    // No call is under way when this returns.
    void on_new(Tell tell);
    // Gives the denial its id. On the packet path: it tells nobody.
    void add(Denial& denial, std::chrono::system_clock::time_point now);
    // Tells of those that are new.
    void tell_new();

    std::size_t size() const;
    // The newest first, at most `most` of those that are chosen.
    std::vector<Refusal> list(std::size_t most,
                              const std::function<bool(const Refusal&)>& chosen) const;

    // Reads what a predecessor wrote, and from then on writes there. Nothing, or what is wrong.
    std::optional<std::string> begin(std::filesystem::path file);
    // To be called from time to time, and at the end: writes if there is news. Nothing, or what is
    // wrong, once until that changes.
    std::optional<std::string> look(TimePoint now, bool last = false);

  private:
    std::optional<std::string> save() const;

    static constexpr std::size_t most_untold = 1024; // others are not told of

    struct Known {
        RefusalMemory memory;
        std::vector<Refusal> untold{};
        bool changed = false;
    };
    Guarded<Known> known_;
    Guarded<Tell> tell_; // locked while it is called

    std::filesystem::path file_; // the main thread's; empty: nowhere
    TimePoint saved_{};
    std::optional<std::string> mistake_; // of the last write
};

} // namespace ubf
