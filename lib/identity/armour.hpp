// Binary files as text that survives a terminal and a mail:
//
//     -----BEGIN UBF CERTIFICATE-----
//     base64, 64 characters a line (RFC 4648, with padding)
//     -----END UBF CERTIFICATE-----
#pragma once

#include "identity/keys.hpp"

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ubf::identity {

enum class Kind : std::uint8_t { certificate, roster, grant, request, signing_key, count_ };
std::string_view to_string(Kind kind); // "CERTIFICATE"

std::string armour(Kind kind, Bytes bytes);
// The one thing of that kind in the text; blank lines before and behind it are ignored. Nothing if
// there is anything else. most: bytes that it may have.
std::optional<std::vector<std::uint8_t>> unarmour(Kind kind, std::string_view text,
                                                  std::size_t most);

} // namespace ubf::identity
