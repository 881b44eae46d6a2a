// The builder of a chain, and other things that the files of chains share.
#pragma once

#include "nft/ruleset.hpp"
#include "nft/sets.hpp"
#include "nft/statement.hpp"

#include <fmt/format.h>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace ubf::nft {

// The two kinds of interfaces, each with a scope of its own: the fabric's, and all others.
struct Side {
    std::string prefix; // of its sets
    bool fabric;

    std::string set(std::string_view name) const { return prefix + std::string(name); }
};

inline const Side ethernet{"", false};
inline const Side fabric{fabric_prefix, true};

inline SetType flow_type(SetType family) {
    return family == SetType::ipv4 ? SetType::flow4 : SetType::flow6;
}

using Statements = std::vector<Statement>;

// Fills a chain and makes the rules' ids.
class ChainBuilder {
  public:
    ChainBuilder(std::string name, std::string why, std::optional<Hook> hook = {})
      : chain_{std::move(name), std::move(why), hook, {}} {}

    void add(std::string_view name, std::string why, Statements statements) {
        chain_.rules.push_back(
            {fmt::format("ubf:{}:{}", chain_.name, name), std::move(why), std::move(statements)});
    }

    // One rule for each family.
    template<typename Make>
    void add_for_families(std::string_view name, std::string why, Make make) {
        for (const SetType family : {SetType::ipv4, SetType::ipv6})
            add(of_family(fmt::format("{}:ipv", name), family), std::exchange(why, {}),
                make(family));
    }

    Chain done() { return std::move(chain_); }

  private:
    Chain chain_;
};

inline Statements operator+(Statements first, const Statements& second) {
    first.insert(first.end(), second.begin(), second.end());
    return first;
}

// A datagram that answers one from this node, by a set of ours. The set remembers datagrams that
// were sent untracked and, on the fabric, all.
inline Statements untracked_answer(const Side& side, SetType family) {
    const auto is_answer = statement::flow_in(flow_type(family), of_family(set_of_sent, family));
    return side.fabric ? Statements{statement::udp(), is_answer}
                       : Statements{statement::udp(), statement::ct_untracked(), is_answer};
}

// RoCEv2 (IANA: roce; InfiniBand Trade Association, Annex A17).
inline constexpr Port roce_port = 4791;
inline constexpr const char* roce = "$roce_port";

} // namespace ubf::nft
