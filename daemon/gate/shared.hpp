// The parts that all workers share. Each may be used from any thread.
#pragma once

#include "daemon/core/event_loop.hpp"

namespace ubf {

struct Counters;
class PeerTable;
class Owners;
class LabelledRoom;
class Reporter;
class Tickets;

struct Shared {
    Counters& counters;
    PeerTable& peers;
    Owners& owners;
    LabelledRoom& labelled_room;
    Reporter& log;
    Tickets& tickets;
    ReadClock clock = Clock::now; // for what passes within a round
};

} // namespace ubf
