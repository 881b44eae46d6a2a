// Lets one user beside its owner use a file, by its access list (acl(5)).
#pragma once

#include "base/types.hpp"

#include <filesystem>
#include <optional>

namespace ubf {

// Its owner and this user may read and write it, and nobody else. 0, or an errno: ENOTSUP where the
// file system has no such lists.
int let_in(const std::filesystem::path& file, std::optional<Uid> user);

} // namespace ubf
