// Whether a file with a secret is safe from other users.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <sys/stat.h>

namespace ubf {

// The file must be a regular one, owned by root or by us, and readable by nobody else. A credential
// may have any owner: systemd made it. Returns the fault with its cure; nothing: it is safe.
// maker: the command that makes such a file.
std::optional<std::string> fault_of_secret(const std::filesystem::path& file,
                                           const struct stat& info, bool is_credential,
                                           std::string_view maker);

// The fault of a mode that has one of these bits.
std::optional<std::string> fault_of_mode(const std::filesystem::path& file, mode_t mode,
                                         mode_t others = 077);

} // namespace ubf
