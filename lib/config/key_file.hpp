// The place of the cluster key: the file that the configuration names; else the credential
// ident.key, if systemd gives one; else the file of the default.
#pragma once

#include "config/config.hpp"
#include "ident/key.hpp"

#include <filesystem>
#include <optional>

namespace ubf {

// credentials: the folder with the credentials of ubfd's service, if there is one. A folder that
// can't be read has none.
KeyFile key_file(const Config& config, const std::optional<std::filesystem::path>& credentials);

// $CREDENTIALS_DIRECTORY, if it is set.
std::optional<std::filesystem::path> own_credentials();

} // namespace ubf
