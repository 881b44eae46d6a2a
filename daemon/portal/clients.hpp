// The portals' connections: who has each, and which must go when there are too many. Each user has
// a share, so that nobody's connections shut out another portal's: those that wait count as well.
// Keeps no descriptor open and reads no clock.
#pragma once

#include "base/types.hpp"
#include "daemon/core/event_loop.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
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
    struct Limits {
        std::size_t of_one; // user
        std::size_t in_all;
    };
    static constexpr std::chrono::seconds most_idle{60};

    explicit Clients(Limits limits)
      : limits_(limits) {}

    void add(int fd, Peer peer, TimePoint now);
    void remove(int fd) { clients_.erase(fd); }
    // Nobody, if the connection is unknown.
    std::optional<Peer> peer(int fd) const;
    // A question of it waits for its answer, has got it, and the answer was sent. Meanwhile it
    // stays.
    void begin(int fd);
    void answer(int fd, TimePoint now);
    void end(int fd, TimePoint now);
    std::size_t size() const { return clients_.size(); } // without those that were told to go

    // Room for another one of this user's, for which one may have to go: the longest idle of the
    // same user. If all users together have too many, it is one of the user with the most. It no
    // longer counts. One that came just now stays: it may have a question that was not read yet. If
    // nobody can go, there is no room.
    struct Room {
        bool there = false;
        std::optional<int> evicted{};
    };
    Room make_room(Uid newcomer, TimePoint now);
    // Those that have been idle too long. They no longer count.
    std::vector<int> take_overdue(TimePoint now);

  private:
    enum class State : std::uint8_t { idle, waits, answered };
    struct Client {
        Peer peer;
        TimePoint idle_since;
        State state = State::idle;
    };

    void enter(int fd, State state, TimePoint now);

    std::optional<int> evict_one_of(Uid uid, TimePoint now);

    const Limits limits_;
    std::unordered_map<int, Client> clients_;
};

} // namespace ubf::portal
