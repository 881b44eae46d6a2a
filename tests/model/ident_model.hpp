// A model of one flow through the gate, and of the question about it. It covers every order in
// which datagrams get lost, doubled, delayed, forged or replayed, nodes restart, and sockets change
// hands. The model is small on purpose, and follows docs/ident.md and the gate's rules.
#pragma once

#include <algorithm>
#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

namespace ubf::model {

enum class User : std::uint8_t { nobody, alice, bob };

struct Message {
    enum class Kind : std::uint8_t { none, question, answer };
    Kind kind = Kind::none;
    std::uint8_t nonce = 0;
    User said = User::nobody;   // in an answer
    bool signed_by_us = true;   // with the cluster key
    bool from_the_asked = true; // as its source address says
    bool of_the_pair = true;    // sealed with the key of the asker and the asked

    auto operator<=>(const Message&) const = default;
};

enum class Phase : std::uint8_t { idle, waiting, allowed, denied, dropped };

inline constexpr std::uint8_t deadline = 3; // ticks
inline constexpr std::size_t room = 3;      // datagrams in flight at a time

struct State {
    // The gate's knowledge.
    Phase phase = Phase::idle;
    std::uint8_t waited = 0; // ticks
    std::uint8_t nonce = 0;  // of the open question
    User listener_then = User::nobody;
    std::uint8_t listener_generation_then = 0;
    // The world.
    User listener = User::alice;
    std::uint8_t listener_generation = 0; // changes with the socket
    User connector = User::bob;
    bool peer_up = true;
    std::array<Message, room> network{};
    // Bounds of the exploration.
    std::uint8_t packets = 2;  // SYNs that the connector's kernel will still send
    std::uint8_t changes = 2;  // of a socket's holder
    std::uint8_t restarts = 2; // of the gate or the peer
    std::uint8_t mischief = 2; // forged datagrams
    // For the properties: all holders of the connector's socket since the question.
    std::uint8_t held_since = 0;
};

// A state as a number of 56 bits, for millions of them.
class Packed {
  public:
    explicit Packed(const State& state) {
        put(static_cast<unsigned>(state.phase), 3);
        for (const auto field :
             {state.waited, state.nonce, state.listener_generation_then, state.listener_generation,
              state.packets, state.changes, state.restarts, state.mischief})
            put(field, 2);
        for (const auto user : {state.listener_then, state.listener, state.connector})
            put(static_cast<unsigned>(user), 2);
        put(state.peer_up ? 1 : 0, 1);
        put(state.held_since, 3);
        for (const auto& message : state.network) {
            put(static_cast<unsigned>(message.kind), 2);
            put(message.nonce, 2);
            put(static_cast<unsigned>(message.said), 2);
            put(message.signed_by_us ? 1 : 0, 1);
            put(message.from_the_asked ? 1 : 0, 1);
            put(message.of_the_pair ? 1 : 0, 1);
        }
    }
    std::uint64_t bits() const { return bits_; }

  private:
    void put(unsigned value, unsigned width) { bits_ = bits_ << width | value; }

    std::uint64_t bits_ = 0;
};

// The protections. The model leaves each out once, to show its purpose.
struct Rules {
    bool certificates = false; // are required: root of a third node is hostile
    bool checks_pair = true;   // then
    bool checks_mac = true;
    bool checks_nonce = true;
    bool checks_source = true;
    bool looks_again = true; // checks for the same socket before it allows
    bool gives_up = true;    // drops the packet at the deadline
};

class Explorer {
  public:
    explicit Explorer(Rules rules)
      : rules_(rules) {}

    struct Result {
        std::size_t states = 0;
        std::size_t allowed = 0;             // states in which a packet was allowed
        std::optional<std::string> violated; // the property that does not hold
    };

    // Visits all reachable states.
    Result explore(const State& first = {}) {
        push(first);
        while (!open_.empty() && !result_.violated) {
            const State state = open_.back();
            open_.pop_back();
            step(state);
        }
        result_.states = seen_.size();
        return result_;
    }

  private:
    static std::uint8_t bit(User user) {
        return static_cast<std::uint8_t>(1u << static_cast<unsigned>(user));
    }

    void push(State state) {
        std::ranges::sort(state.network);
        if (state.phase == Phase::waiting && state.waited > deadline)
            result_.violated = "a packet waits past the deadline";
        if (seen_.insert(Packed(state).bits()).second)
            open_.push_back(state);
    }

    // False if the network is full: the datagram is lost.
    static bool put(State& state, const Message& message) {
        for (auto& slot : state.network)
            if (slot.kind == Message::Kind::none) {
                slot = message;
                return true;
            }
        return false;
    }

    void step(const State& state) {
        packet(state);
        datagrams(state);
        time(state);
        sockets(state);
        restarts(state);
        mischief(state);
    }

    // A SYN, the first or a retransmitted one.
    void packet(State state) {
        if (state.packets == 0 || (state.phase != Phase::idle && state.phase != Phase::dropped))
            return;
        --state.packets;
        state.listener_then = state.listener;
        state.listener_generation_then = state.listener_generation;
        state.phase = Phase::waiting;
        state.waited = 0;
        ++state.nonce;
        state.held_since = bit(state.connector);
        put(state, {Message::Kind::question, state.nonce});
        push(state);
    }

    void datagrams(const State& state) {
        for (std::size_t i = 0; i < room; ++i) {
            const auto message = state.network[i];
            if (message.kind == Message::Kind::none)
                continue;
            auto without = state;
            without.network[i] = {};
            push(without); // the datagram is lost
            auto doubled = state;
            if (put(doubled, message))
                push(doubled);
            if (message.kind == Message::Kind::question)
                asked(without, message);
            else
                answered(without, message);
        }
    }

    void asked(State state, const Message& question) {
        if (!state.peer_up)
            return; // the question is lost
        put(state, {Message::Kind::answer, question.nonce, state.connector});
        push(state);
    }

    void answered(State state, const Message& answer) {
        const bool genuine = rules_.certificates ? answer.of_the_pair || !rules_.checks_pair
                                                 : answer.signed_by_us || !rules_.checks_mac;
        const bool believed = genuine && (answer.from_the_asked || !rules_.checks_source) &&
                              (answer.nonce == state.nonce || !rules_.checks_nonce);
        if (state.phase != Phase::waiting || !believed)
            return push(state); // counted and dropped
        const bool same_socket = state.listener_generation == state.listener_generation_then;
        if (answer.said == User::nobody || answer.said != state.listener_then)
            state.phase = Phase::denied;
        else if (rules_.looks_again && !same_socket)
            state.phase = Phase::dropped;
        else
            allow(state, answer);
        push(state);
    }

    void allow(State& state, const Message& answer) {
        state.phase = Phase::allowed;
        ++result_.allowed;
        if (state.listener != answer.said)
            result_.violated = "allowed, and delivered to somebody else's socket";
        if ((state.held_since & bit(answer.said)) == 0)
            result_.violated = "allowed for a user who held no socket of the flow";
    }

    // Questions are repeated with the same nonce. At the deadline the packet is dropped.
    void time(State state) {
        if (state.phase != Phase::waiting)
            return;
        ++state.waited;
        if (state.waited == deadline && rules_.gives_up)
            state.phase = Phase::dropped;
        else
            put(state, {Message::Kind::question, state.nonce});
        push(state);
    }

    void sockets(const State& state) {
        if (state.changes == 0)
            return;
        for (const auto user : {User::nobody, User::alice, User::bob}) {
            auto connector = state;
            --connector.changes;
            connector.connector = user;
            connector.held_since = static_cast<std::uint8_t>(connector.held_since | bit(user));
            push(connector);
            auto listener = state;
            --listener.changes;
            listener.listener = user;
            ++listener.listener_generation;
            push(listener);
        }
    }

    void restarts(const State& state) {
        if (state.restarts == 0)
            return;
        auto gate = state; // packets that it had read are dropped, and retransmitted
        --gate.restarts;
        if (gate.phase == Phase::waiting)
            gate.phase = Phase::dropped;
        push(gate);
        auto peer = state;
        --peer.restarts;
        peer.peer_up = !peer.peer_up;
        push(peer);
    }

    // An attacker without the key forges any answer, and may see the nonce. A peer with the key
    // that was not asked does so too, and none of them has the key of the pair. Any datagram may be
    // replayed at any time.
    void mischief(const State& state) {
        if (state.mischief == 0)
            return;
        for (const auto user : {User::alice, User::bob})
            for (std::uint8_t nonce = 0; nonce <= state.nonce; ++nonce)
                for (const bool has_key : {false, true}) {
                    auto next = state;
                    --next.mischief;
                    // Root of a third node has the cluster key and a key of its own, and takes
                    // the address of the node that was asked.
                    const bool from_the_asked = !has_key || rules_.certificates;
                    if (put(next,
                            {Message::Kind::answer, nonce, user, has_key, from_the_asked, false}))
                        push(next);
                }
    }

    const Rules rules_;
    Result result_;
    std::unordered_set<std::uint64_t> seen_;
    std::vector<State> open_;
};

} // namespace ubf::model
