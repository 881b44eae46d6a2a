// The ruleset as values: what is printed for people (nft/text.hpp) and what is installed
// (nft/installer.hpp) come from here, so that they can't disagree.
#pragma once

#include "config/config.hpp"
#include "nft/expression.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ubf::nft {

inline constexpr const char* table_name = "ubf"; // of family inet
// The same rules, while no table of that name can be had: until a socket is closed that owns it.
inline constexpr const char* stand_in_name = "ubf-stand-in";

// One condition or action: as nft writes it, and as the kernel runs it.
struct Statement {
    std::string text;
    std::vector<Expression> expressions;
};

struct Rule {
    // "ubf:CHAIN:NAME" or "ubf:CHAIN:NAME:VARIANT", unique in the table: the rule's comment in the
    // kernel. Stable: counters and repairs go by it.
    std::string id;
    std::string why; // for the reader of the text; empty where the rule before said it
    std::vector<Statement> statements;
};

// NAME of a rule's id; what is counted for one name is one figure. Empty for an id that isn't ours.
std::string counter_name(std::string_view rule_id);

// Where a base chain hangs.
struct Hook {
    std::uint32_t number; // NF_INET_*
    std::int32_t priority;

    bool operator==(const Hook&) const = default;
};

struct Chain {
    std::string name;
    std::string why;
    std::optional<Hook> hook; // of a base chain
    std::vector<Rule> rules;
};

// flow: source address, source port, destination address, destination port; listener: interface,
// address, port; place: address, port; held_place: the same, and whose socket is there.
enum class SetType : std::uint8_t {
    ipv4,
    ipv6,
    port,
    interface, // its name
    flow4,
    flow6,
    listener4,
    listener6,
    user,
    place4,
    place6,
    held_place4,
    held_place6,
    protocol,
    priority // of a packet, for traffic control
};

struct Set {
    // In network order, both ends included; the same length each.
    struct Element {
        Bytes first;
        Bytes last;
        std::string text;
    };

    std::string name;
    std::string why;
    SetType type;
    std::vector<Element> elements{}; // disjoint
    // What only the kernel and a running ubfd know: elements come and go, so many at most, each
    // with a time of its own. Nothing here lists them, and installing leaves them as they are.
    std::uint32_t room = 0;
    bool updated_by_packets = false;

    bool is_interval() const { return type <= SetType::interface; }
    bool is_dynamic() const { return room != 0; }
};

struct Variable {
    std::string name;
    std::string value;
    std::string why;
};

struct Ruleset {
    std::vector<Variable> variables; // of the text
    std::vector<Set> sets;
    std::vector<Chain> chains; // in an order in which each jumps only to those before it
};

enum class QueueExpression : std::uint8_t { native, xt };

std::string_view to_string(QueueExpression expression); // "nft queue", "xt NFQUEUE"

// What the ruleset depends on beside the configuration.
struct Environment {
    Port unprivileged_port_start = 1024; // net.ipv4.ip_unprivileged_port_start
    std::uint16_t queue_count = 1;       // never 0
    QueueExpression queue_expression = QueueExpression::native;
    // Kernel modules that the ruleset takes and the kernel has not, as modules() names them.
    std::vector<std::string> lacks{};
};

// Pure. The configuration's empty values mean what their descriptions say.
Ruleset make_ruleset(const Config& config, const Environment& environment);

// Of the caller's network namespace and this machine; never asks the kernel what it can do.
Environment read_environment(const Config& config);

} // namespace ubf::nft
