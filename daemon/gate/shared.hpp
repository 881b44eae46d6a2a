// The parts that all workers share. Each may be used from any thread.
#pragma once

namespace ubf {

namespace nft {
class Connection;
}
struct Counters;
class PeerTable;
class Investigator;
class UdpFlows;
class ExemptListeners;
class LabelledRoom;
class Log;

struct Shared {
    nft::Connection& table;
    Counters& counters;
    PeerTable& peers;
    Investigator& investigator;
    UdpFlows& udp_flows;
    ExemptListeners& exempt_listeners;
    LabelledRoom& labelled_room;
    Log& log;
};

} // namespace ubf
