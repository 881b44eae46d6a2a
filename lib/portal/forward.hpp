// A forward file: a short name for a place, which a user has made. The place may be any: ubfd
// judges the person who uses the name, whoever made the file.
#pragma once

#include "portal/target.hpp"

#include <cstddef>
#include <string_view>
#include <sys/stat.h>

namespace ubf::portal {

inline constexpr std::size_t most_in_forward = 300; // bytes of such a file

// The file has one line, like "node7:8888".
Result<Place, Refusal> parse_forward(std::string_view text);

// Whether the directory lets nobody replace another's file: only its owner writes there, or it is
// sticky. Its owner is root.
bool keeps_files_apart(const struct stat& directory);
// Whether it's a file that its owner alone has written, and that stands there once.
bool is_sound_forward(const struct stat& file);

} // namespace ubf::portal
