// A node and its peers in memory, as the gate and explain see them.
#pragma once

#include "daemon/core/counters.hpp"
#include "daemon/gate/allowed_flows.hpp"
#include "daemon/gate/kept_verdicts.hpp"
#include "daemon/gate/queue.hpp"
#include "daemon/gate/rules.hpp"
#include "daemon/gate/shared.hpp"
#include "daemon/ident/peer_table.hpp"
#include "daemon/ident/peers.hpp"
#include "daemon/log/reporter.hpp"
#include "daemon/owners/owners.hpp"
#include "daemon/owners/sockets.hpp"
#include "daemon/tickets/tickets.hpp"

#include <functional>
#include <map>
#include <netinet/tcp.h>
#include <utility>

namespace ubf::world {

inline constexpr Uid alice{1001}, bob{1002};
inline constexpr Gid project{2001};
inline constexpr std::uint32_t loopback = 1, ethernet = 2;

inline const Address here = *Address::parse("10.77.0.2");
inline const Address there = *Address::parse("10.77.0.1");
inline const Address abroad = *Address::parse("192.0.2.1");

inline Owner user(Uid uid, std::vector<Gid> groups = {}) {
    auto owner = Owner::user(uid);
    owner.credentials.emplace();
    owner.credentials->gid = groups.empty() ? Gid{value(uid)} : groups.front();
    owner.credentials->groups = std::move(groups);
    owner.credentials->process.pid = Pid{7};
    owner.credentials->labels_known = true;
    return owner;
}

class FakeSockets final : public Sockets {
  public:
    std::map<Endpoint, SocketOwner> listeners;
    std::map<Endpoint, SocketOwner> connectors;
    std::optional<LookupError> error; // of every lookup
    std::function<void()> meanwhile;  // after the sockets were looked up

    void find(std::span<const OwnerLookup::Wanted> wanted,
              std::vector<OwnerLookup::Ends>& ends) override {
        ends.clear();
        for (const auto& each : wanted)
            ends.push_back(
                {receiver(each.flow, each.interface),
                 each.sender ? sender(each.flow, each.interface) : fail(LookupError::none)});
        if (meanwhile)
            meanwhile();
    }
    OwnerLookup::Found receiver(const Flow& flow, std::uint32_t) override {
        return in(listeners, flow.destination);
    }
    OwnerLookup::Found sender(const Flow& flow, std::uint32_t) override {
        return in(connectors, flow.source);
    }
    OwnerLookup::Found listener(const Endpoint& place, std::uint32_t) override {
        return in(listeners, place);
    }
    bool is_receiver(Cookie socket, const Flow& flow, std::uint32_t) override {
        const auto found = listeners.find(flow.destination);
        return found != listeners.end() && found->second.socket.cookie == socket;
    }
    std::optional<LookupError> sharing; // of add_sharing()
    std::optional<LookupError> add_sharing(SocketOwner&, const Flow&, std::uint32_t) override {
        return sharing;
    }
    std::optional<TrackedConnection> translated(const Flow&) override { return std::nullopt; }
    std::optional<Link> link(std::uint32_t) override { return std::nullopt; }
    std::optional<std::uint32_t> interface_of(const Address& address) const override {
        return address == here ? std::optional(ethernet) : std::nullopt;
    }
    std::uint32_t loopback() const override { return world::loopback; }

  private:
    OwnerLookup::Found in(const std::map<Endpoint, SocketOwner>& sockets, const Endpoint& place) {
        if (error)
            return fail(LookupError{*error});
        const auto found = sockets.find(place);
        return found == sockets.end() ? OwnerLookup::Found(fail(LookupError::none))
                                      : OwnerLookup::Found(found->second);
    }
};

class FakeOwners final : public Owners {
  public:
    struct Search {
        Uid uid;
        Done done;
        TimePoint deadline;
    };
    std::map<Uid, Owner> recorded; // known at once
    std::vector<Search> searches;
    bool has_room = true;
    Changes changed;

    Uid account_of(Uid uid) override { return uid; }
    const Changes& changes() const override { return changed; }
    bool shares = false;
    bool may_share(Port) const override { return shares; }
    std::optional<Owner> known(const SocketOwner& socket, ident::Role) override {
        const auto found = recorded.find(socket.owner.uid);
        return found == recorded.end() ? std::nullopt : std::optional(found->second);
    }
    bool find(const SocketOwner& socket, ident::Role, TimePoint deadline, Done done) override {
        if (has_room)
            searches.push_back({socket.owner.uid, std::move(done), deadline});
        return has_room;
    }
    std::function<void()> meanwhile;  // while find_now() searches
    std::vector<TimePoint> deadlines; // of find_now()
    Owner find_now(const SocketOwner& socket, ident::Role, TimePoint deadline) override {
        deadlines.push_back(deadline);
        if (meanwhile)
            meanwhile();
        return known(socket, ident::Role::listener).value_or(socket.owner);
    }
};

class FakeVerdicts final : public KeptVerdicts {
  public:
    std::vector<Flow> allowed, renewed, denied, ended;
    bool is_over = false; // the kernel has none of them any more
    bool socket_is_gone = false;
    int refusal = 0; // errno by which the kernel refuses to end a flow

    std::optional<Lease> allow(const Flow&, Keeper, const UdpFlows::Ends&) override {
        return socket_is_gone ? std::nullopt : std::optional(Lease{1});
    }
    std::optional<Lease> deny(const Flow&, const Owner&, const UdpFlows::Ends&) override {
        return Lease{2};
    }
    bool confirm(const Flow&, Keeper, Lease) override { return true; }
    int write_allowed(nft::Network, std::span<const Flow> flows) override {
        allowed.insert(allowed.end(), flows.begin(), flows.end());
        return 0;
    }
    int write_renewed(nft::Network, std::span<const Flow> flows) override {
        renewed.insert(renewed.end(), flows.begin(), flows.end());
        return 0;
    }
    int write_denied(std::span<const Flow> flows) override {
        denied.insert(denied.end(), flows.begin(), flows.end());
        return 0;
    }
    State state(const AllowedFlow&) override { return is_over ? State::over : State::there; }
    int end(const AllowedFlow& flow) override {
        if (refusal == 0)
            ended.push_back(flow.flow);
        return refusal;
    }
    void exempt(const nft::ListenerKey&, Cookie, Uid) override {}
    void forget_policy() override {}
};

class FakePeers final : public ident::Peers {
  public:
    struct Question {
        Flow flow;
        std::optional<Uid> same_as;
        std::optional<Gid> group;
        TimePoint asked;
    };
    std::vector<Question> questions;
    std::vector<ident::Nonce> withdrawn;

    void answer(const Flow& flow, Heard heard, const Owner& owner, TimePoint now) {
        handler_(flow, heard, owner, now);
    }

    void set_handler(Handler handler) override { handler_ = std::move(handler); }
    void set_terms(std::shared_ptr<const ident::Terms>, ident::Milliseconds) override {}
    ident::Nonce ask(const Flow& flow, const Flow&, ident::Role, std::optional<Uid> same_as,
                     std::uint32_t, std::optional<Gid> group, TimePoint now) override {
        questions.push_back({flow, same_as, group, now});
        return ident::Nonce{questions.size()};
    }
    void flush(TimePoint) override {}
    void withdraw(ident::Nonce nonce) override { withdrawn.push_back(nonce); }
    void on_time(TimePoint) override {}
    std::optional<TimePoint> next() const override { return std::nullopt; }
    bool is_pressed() const override { return false; }

  private:
    Handler handler_;
};

class FakeReporter final : public Reporter {
  public:
    std::vector<Denial> denials;
    std::vector<std::string> warnings;

    void warning(std::string text) override { warnings.push_back(std::move(text)); }
    void denial(Denial denial) override { denials.push_back(std::move(denial)); }
};

class FakeQueue final : public VerdictTaker {
  public:
    std::vector<Reason> verdicts; // in their order

    void verdict(std::uint32_t, std::uint32_t, Reason reason) override {
        verdicts.push_back(reason);
    }
};

// The first packet of a flow over IPv4: of TCP, a SYN.
inline std::vector<std::uint8_t> packet(const Flow& flow) {
    std::vector<std::uint8_t> bytes{0x45, 0, 0, 40, 0, 0, 0x40, 0, 64};
    bytes.push_back(static_cast<std::uint8_t>(flow.protocol));
    bytes.resize(12);
    for (const auto& address : {flow.source.address, flow.destination.address})
        bytes.insert(bytes.end(), address.bytes().end() - 4, address.bytes().end());
    for (const Port port : {flow.source.port, flow.destination.port}) {
        bytes.push_back(static_cast<std::uint8_t>(port >> 8));
        bytes.push_back(static_cast<std::uint8_t>(port));
    }
    bytes.resize(40);
    bytes[32] = 0x50;
    bytes[33] = 2; // SYN
    return bytes;
}

// The time, which passes only when a test says so. It is not the machine's.
class Time {
  public:
    TimePoint now{std::chrono::hours(24)};

    void pass(Clock::duration time) { now += time; }
    ReadClock clock() {
        return [this] { return now; };
    }
};

// The node 10.77.0.2, whose peers are 10.77.0.0/24, and a flow to it.
struct World {
    Time time;
    const Flow flow{Protocol::tcp, {there, 40000}, {here, 8888}};
    Counters counters;
    PeerTable peer_table;
    FakeOwners owners;
    LabelledRoom room;
    FakeReporter reporter;
    FakeSockets sockets;
    FakeVerdicts verdicts;
    FakePeers peers;
    FakeQueue queue;
    Policy policy;
    Observation observed;

    Tickets tickets{counters.portal, time.clock()};
    Shared shared() {
        return {counters, peer_table, owners, room, reporter, tickets, time.clock()};
    }
    std::shared_ptr<const Rules> rules() const {
        const std::vector<Prefix> ranges{*Prefix::parse("10.77.0.0/24")};
        Key::Bytes key;
        key.fill(7);
        auto terms = std::make_shared<const ident::Terms>(
            ident::Terms{1017, std::chrono::seconds(1), ranges, {Key(key), std::nullopt}, {}});
        return std::make_shared<const Rules>(Rules{{policy, ranges},
                                                   {policy, ranges},
                                                   observed,
                                                   {},
                                                   std::chrono::milliseconds(900),
                                                   terms});
    }
    // A socket of this user at the flow's destination. state: 0 for UDP.
    void listens(Uid uid, std::uint64_t cookie = 1, std::uint8_t state = TCP_LISTEN) {
        sockets.listeners.insert_or_assign(
            flow.destination, SocketOwner{Owner::user(uid), {Cookie{cookie}, uid, 9, state, 0}});
    }
};

} // namespace ubf::world
