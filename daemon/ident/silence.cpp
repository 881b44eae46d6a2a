#include "daemon/ident/silence.hpp"

#include "policy/verdict.hpp"

#include <fmt/format.h>

namespace ubf {

void report_silence_of(const Address& peer, TimePoint asked, PeerTable& peers, Reporter& log,
                       TimePoint now) {
    switch (peers.timed_out(peer, asked, now)) {
    case PeerTable::Say::silent:
        log.warning(
            fmt::format("peer {} does not answer: {}", to_string(peer), hint(Reason::no_answer)));
        break;
    case PeerTable::Say::and_more:
        log.warning("more peers do not answer, and are not named for a minute; 'ubfctl status' "
                    "lists them");
        break;
    case PeerTable::Say::nothing:
        break;
    }
}

} // namespace ubf
