// The statements of our rules, each with its text beside its instructions.
//
// A word that starts with $ in a text is one of the ruleset's variables; the caller passes its
// value too.
#pragma once

#include "nft/ruleset.hpp"

#include <chrono>

namespace ubf::nft::statement {

// --- conditions: where from, where to ---
Statement interface_in(const std::string& set, bool inverted);
Statement on_loopback(bool yes);
Statement from_fabric(); // by the interface's link type
Statement to_fabric(bool yes);
Statement not_to_loopback();
Statement to_loopback();
Statement to_interface_in(const std::string& set, bool inverted);
Statement source_not_local(); // by the routing table: no address of this node's
Statement destination_in(SetType family, const std::string& set);
Statement source_in(SetType family, const std::string& set, bool inverted);
Statement source_is_not_link_local(SetType family);
Statement destination_is_multicast(SetType family);
Statement destination_is_broadcast(); // by the routing table: also true of packets on loopback
Statement over_ipv6();
Statement link_broadcast(); // by the frame

// --- conditions: protocol and ports ---
Statement protocol(std::uint8_t number, const std::string& name);
Statement protocol_not(std::uint8_t number, const std::string& name);
Statement tcp();
Statement udp();
Statement protocol_in(const std::string& set);
Statement syn_without_ack();
Statement not_syn_without_ack();
Statement syn_with_ack();
Statement no_syn();
// Only for protocols with ports at the usual place: put these after tcp() or udp(), or where no
// other protocol is left.
Statement source_port(Port port, const std::string& text);
Statement source_port_below(Port port, const std::string& text);
Statement source_port_from(Port port, const std::string& text); // or above
Statement source_port_in(const std::string& set, bool inverted);
Statement destination_port(Port port, const std::string& text);
Statement destination_port_in(const std::string& set, bool inverted);
Statement destination_port_from(Port port); // this one and above
Statement destination_port_to(Port port);   // this one and below
Statement from_socket_of_user();            // of a program, root's too: not of the kernel
Statement from_root();                      // of a program of root's
Statement from_ordinary_user();             // of a program: neither root's nor the kernel's
// The packet's socket is bound to one address and is no mere request. If the packet is an answer,
// no listener sent it.
Statement from_connecting_socket();
Statement not_transparent(); // the socket may not have foreign sources, which takes a privilege

// --- conditions: the whole flow ---
// SetType: flow4 or flow6. None of these matches a packet of the other family. answer: the flow of
// a packet that would answer this one.
Statement flow_in(SetType type, const std::string& set, bool inverted = false, bool answer = false);
// The destination, which must be exactly that of a listener. SetType: listener4 or listener6.
Statement listener_in(SetType type, const std::string& set);
// The source as a place, or as a held place: if the packet's socket has a file, with that file's
// user. SetType: place4 or place6, held_place4 or held_place6.
Statement from_place_in(SetType type, const std::string& set);
Statement from_held_place_in(SetType type, const std::string& set);

// --- conditions: what conntrack and the marks say ---
Statement ct_untracked(); // by a notrack rule
Statement ct_zoned();     // tracked in a zone
Statement ct_reply();
Statement ct_first(); // no packet of this connection has left or arrived yet
Statement ct_established();
Statement ct_translated(); // by NAT: another source, or another destination
// These bits of the packet's priority are in the set. A program of ours in the kernel writes them.
Statement priority_in(const std::string& set, std::uint32_t mask);
Statement mark_is(const Mark& mark, std::uint32_t field, const std::string& text);

// --- actions ---
// These replace our bits and leave all others; a field of 0 only clears.
Statement set_mark(const Mark& mark, std::uint32_t field, const std::string& text);
// Puts the flow of a packet that would answer this one into the set, or renews its timeout. If the
// set is full, acts like a condition that is not met.
Statement remember_answer(SetType type, const std::string& set, std::chrono::seconds timeout);
// Puts the destination into the set, or renews its timeout; the same if the set is full. SetType:
// place4 or place6.
Statement remember_destination(SetType type, const std::string& set, std::chrono::seconds timeout);
// A condition: the packet's flow is in the set. If it is met, puts the flow into `seen`, or renews
// its timeout there. One load of the key serves both.
Statement see_flow_in(SetType type, const std::string& set, const std::string& seen,
                      std::chrono::seconds timeout);
Statement from_users(const UidRange& users);
// Puts the user who sends the packet into the set.
Statement remember_user(const std::string& set, std::chrono::seconds timeout);
// Counts the packet for the user who sends it; goes on if they exceed the limit.
Statement user_over_limit(const std::string& set, std::uint32_t per_second, std::uint32_t burst);
Statement notrack();
Statement count();
Statement accept();
Statement drop();
Statement leave(); // back to the chain that jumped here
Statement jump(const std::string& chain);
Statement go_to(const std::string& chain); // a return from there is a return from here
Statement reject_prohibited();
Statement reject_address_unreachable();
Statement reject_port_unreachable();
Statement reject_reset();
Statement queue(std::uint16_t first, std::uint16_t count, QueueExpression expression);

} // namespace ubf::nft::statement
