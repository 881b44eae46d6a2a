// The first act of every thread: it takes a name, and gives up the privileges that its own work
// doesn't take. The thread that answers strangers' questions keeps none; those of the gate, which
// read what peers answer, keep CAP_NET_ADMIN for their verdicts. (Threads share their memory, so
// this bounds the effect of a mistake, but not of an attacker who took the process over.)
#pragma once

#include <initializer_list>
#include <span>

namespace ubf {

// name: up to 15 bytes, as ps -L and /proc show it. If the thread has these capabilities (CAP_* of
// linux/capability.h), it keeps them. It can never get back the others.
void enter_thread(const char* name, std::span<const unsigned> capabilities);
void enter_thread(const char* name, std::initializer_list<unsigned> capabilities = {});

// The calling thread does without these from now on.
void give_up(std::initializer_list<unsigned> capabilities);

} // namespace ubf
