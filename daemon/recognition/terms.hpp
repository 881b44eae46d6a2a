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
    };
    // Without what changes from moment to moment: the clock, the evidence, until when.
    ubf_recognition_terms agreed{};
    std::vector<Peers> peers{}; // that run ubfd; and this node, to itself
    std::string why_not{};      // nobody is recognised; empty: some are
};

RecognitionTerms recognition_terms(const Config& config, const KeyRing& keys);

// Whether connections between programs of this user are recognised, as far as that depends on who
// it is; and those from this address, which come in on this side.
bool is_recognised(const RecognitionTerms& terms, Uid uid);
bool is_recognised(const RecognitionTerms& terms, ubf_recognition_side side, const Address& source,
                   Uid uid);

} // namespace ubf
