// The statements of our rules, each with its text beside its instructions.
#pragma once

#include "nft/ruleset.hpp"

namespace ubf::nft::statement {

// Conditions
Statement interface_in(const std::string& set, bool inverted);
Statement on_loopback(bool yes);
Statement protocol(std::uint8_t number, const std::string& name); // meta l4proto
Statement protocol_not(std::uint8_t number, const std::string& name);
Statement source_in(SetType family, const std::string& set, bool inverted);
Statement destination_is_multicast(SetType family);
Statement is_broadcast();
Statement source_port_below(Port port, const std::string& text);
Statement source_port(Port port, const std::string& text);
Statement destination_port(Port port, const std::string& text);
Statement destination_port_in(const std::string& set, bool inverted);
Statement syn_without_ack();
Statement ct_invalid();
Statement ct_reply();
Statement mark_is(const Mark& mark, std::uint32_t field, const std::string& text);
Statement ct_mark_is(const Mark& mark, std::uint32_t field, const std::string& text);

// Actions
Statement set_mark(const Mark& mark, std::uint32_t field, const std::string& text);
Statement set_ct_mark(const Mark& mark, std::uint32_t field, const std::string& text);
Statement count();
Statement accept();
Statement drop();
Statement leave(); // back to the chain that jumped here
Statement jump(const std::string& chain);
Statement reject_prohibited();
Statement reject_port_unreachable();
Statement reject_reset();
Statement queue(std::uint16_t first, std::uint16_t count, QueueExpression expression);

} // namespace ubf::nft::statement
