// The entries of an ident datagram (wire.hpp): each has its reader beside its writer. A reader
// returns nothing for what is not well-formed.
#pragma once

#include "base/buffer.hpp"
#include "ident/wire.hpp"

#include <cstddef>
#include <optional>

namespace ubf::ident {

inline constexpr std::size_t label_overhead = 2; // its origin, and its length
// It must fit alone, or encode() would never get past it.
inline constexpr std::size_t largest_answer = 39 + max_comm + max_groups * 4 + max_label_bytes;

void put(Writer& out, const Question& question);
void put(Writer& out, const Answer& answer);
void put(Writer& out, const Gone& gone);
void put(Writer& out, const GoneSeen& seen);
void put(Writer& out, const Refused& refused);
void put(Writer& out, const Inquiry& inquiry);
void put(Writer& out, const Decision& decision);

// The pointer only names the kind.
std::optional<Question> get(Reader& in, const Question*);
std::optional<Answer> get(Reader& in, const Answer*);
std::optional<Gone> get(Reader& in, const Gone*);
std::optional<GoneSeen> get(Reader& in, const GoneSeen*);
std::optional<Refused> get(Reader& in, const Refused*);
std::optional<Inquiry> get(Reader& in, const Inquiry*);
std::optional<Decision> get(Reader& in, const Decision*);

} // namespace ubf::ident
