// The flows that were allowed for a while only, and when each is looked at again.
#pragma once

#include "base/types.hpp"
#include "daemon/core/event_loop.hpp"
#include "daemon/udp/udp_flows.hpp"
#include "flow/flow.hpp"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <unordered_map>
#include <utility>

namespace ubf {

struct Renewal {
    TimePoint when{};   // it is looked at next
    TimePoint decide{}; // when it is decided again, if it is there still
    Flow flow{};
    std::optional<UdpFlows::Lease> lease{}; // of UDP
    std::uint32_t interface = 0;
    bool reply = false;
    bool fabric = false;
    unsigned silences = 0; // how often its peer did not answer, one after the other
    bool looked_at = false;
    // The listener's and the connector's user, where a label allowed it; of TCP always.
    std::optional<std::pair<Uid, Uid>> by_label{};

    bool is_of(Uid uid) const {
        return by_label && (by_label->first == uid || by_label->second == uid);
    }
};

class Renewals {
  public:
    // Nobody's TCP flows take another's room.
    bool has_room(Uid connector) const;
    void add(Renewal renewal);
    // The next whose time has come; it is put back, or it is over.
    std::optional<Renewal> take_due(TimePoint now);
    void put_back(Renewal renewal);       // to be looked at a while later
    void put_back_first(Renewal renewal); // or at once
    void over(const Renewal& renewal);

    // Those are decided again first of all.
    void hasten(const std::function<bool(const Renewal&)>& chosen);
    std::optional<TimePoint> next() const;

  private:
    std::deque<Renewal> waiting_; // in the order of their time
    std::unordered_map<Uid, std::size_t> tcp_of_;
};

} // namespace ubf
