// This node and its peers show each other their certificates. Nothing is proven by that: a peer is
// proven by what it seals with the certificate's key.
#pragma once

#include "daemon/core/counters.hpp"
#include "daemon/ident/guard.hpp"
#include "daemon/ident/respondent.hpp"
#include "ident/socket.hpp"

#include <vector>

namespace ubf::ident {

// A peer has sent its certificate.
void take_introduction(const Received& received, const Terms& terms, const Socket& socket,
                       IdentCounters& counters);
// A peer that used the cluster key learns that this node seals. A peer whose key is unknown is
// asked for its certificate, and so is one that does not know this node's key.
// datagram: what was read of `received`.
void greet(const Received& received, const Result<Datagram, Rejection>& datagram,
           const Terms& terms, const Socket& socket);
// This node stamps what it sends there by the key of the pair from now on.
void note_listeners(const std::vector<Question>& questions, const Sender& sender,
                    const Terms& terms);

} // namespace ubf::ident
