// The portals' connections: who has each, and which must go when there are too many. Keeps no
// descriptor open and reads no clock.
#pragma once

#include "base/types.hpp"
#include "daemon/core/event_loop.hpp"

#include <chrono>
#include <cstddef>
#include <optional>
#include <unordered_map>
#include <vector>

namespace ubf::portal {

struct Peer { // as the kernel knows it
    Uid uid{};
    Pid pid{};
};

class Clients {
  public:
    static constexpr std::size_t most = 256;
    static constexpr std::chrono::seconds most_idle{60};

    void add(int fd, Peer peer, TimePoint now);
    void remove(int fd) { clients_.erase(fd); }
    // Nobody, if the connection is unknown.
    std::optional<Peer> peer(int fd) const;
    // A question of it waits for its answer: it stays.
    void begin(int fd);
    void end(int fd, TimePoint now);
    std::size_t size() const { return clients_.size(); } // without those that were told to go

    // If there is no room for another, the descriptor of the one that has to go: of the uid with
    // the most connections, the one that has been idle longest. It no longer counts.
    std::optional<int> evict();
    bool is_full() const { return size() >= most; }
    // Those that have been idle too long. They no longer count.
    std::vector<int> take_overdue(TimePoint now);

  private:
    struct Client {
        Peer peer;
        TimePoint idle_since;
        bool waits = false;
    };

    std::unordered_map<int, Client> clients_;
};

} // namespace ubf::portal
