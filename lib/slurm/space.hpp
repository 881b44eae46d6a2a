// Space between words, as C's isspace() has it in every locale.
#pragma once

namespace ubf::slurm {

inline bool is_space(char c) {
    return c == ' ' || (c >= '\t' && c <= '\r');
}

} // namespace ubf::slurm
