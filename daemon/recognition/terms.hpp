// The terms on which the kernel recognises users, as the configuration has them. Pure.
#pragma once

#include "config/config.hpp"
#include "daemon/recognition/bpf/recognition.h"
#include "ident/key.hpp"

#include <string>
#include <vector>

namespace ubf {

struct RecognitionTerms {
    struct Peers {
        ubf_recognition_side side;
        Prefix range;
        ubf_recognition_proof proof = UBF_PROOF_CLUSTER;
    };
    // Without the members that change while ubfd runs: clock, until, evidence and generation. If
    // certificates are required, also without keys.
    ubf_recognition_terms agreed{};
    std::vector<Peers> peers{}; // nodes that run ubfd; and this node, for itself
    std::string why_not{};      // why nobody is recognised; empty: users are
};

RecognitionTerms recognition_terms(const Config& config, const KeyRing& keys);

// Whether connections between programs of this user are recognised, as far as that depends on the
// user. The second also checks the source address, and the side on which they come in.
bool is_recognised(const RecognitionTerms& terms, Uid uid);
bool is_recognised(const RecognitionTerms& terms, ubf_recognition_side side, const Address& source,
                   Uid uid);

} // namespace ubf
