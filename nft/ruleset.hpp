// The ruleset as values. The text for people (nft/text.hpp) and the installed rules
// (nft/installer.hpp) both come from here, so that they can't disagree.
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
// The same rules, while a table of that name is not available: until another owner closes its
// socket.
inline constexpr const char* stand_in_name = "ubf-stand-in";

// One condition or action: as nft writes it, and as the kernel runs it.
struct Statement {
    std::string text;
    std::vector<Expression> expressions;
};

struct Rule {
    // "ubf:CHAIN:NAME" or "ubf:CHAIN:NAME:VARIANT", unique in the table: the rule's comment in the
    // kernel. Stable, since counters and repairs use it.
    std::string id;
    std::string why; // for the reader of the text; empty if the previous rule said it
    std::vector<Statement> statements;
};

// NAME of a rule's id; all rules of one name count as one. Empty for an id that isn't ours.
std::string counter_name(std::string_view rule_id);

// The hook of a base chain.
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
// address, port; place: address, port; held_place: the same, and the uid of the socket there.
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
    // The most elements of a dynamic set. Only the kernel and a running ubfd know these elements,
    // each with a timeout of its own. Nothing here lists them, and installing leaves them as they
    // are.
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

// The properties of the node and kernel on which the ruleset depends.
struct Environment {
    Port unprivileged_port_start = 1024; // net.ipv4.ip_unprivileged_port_start
    std::uint16_t queue_count = 1;       // never 0
    QueueExpression queue_expression = QueueExpression::native;
    // Modules that the ruleset needs and the kernel lacks, named as by modules().
    std::vector<std::string> lacks{};
};

// Pure. Empty values of the configuration have the meaning that config.hpp states.
Ruleset make_ruleset(const Config& config, const Environment& environment);

// Reads the caller's network namespace and this machine; never probes the kernel's modules.
Environment read_environment(const Config& config);

} // namespace ubf::nft
