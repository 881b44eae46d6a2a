// Names of IP protocols, as in IANA's registry "Protocol Numbers" and /etc/protocols. The table is
// in the program, since /etc/protocols belongs to a package that a node may lack.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace ubf::config {

std::optional<std::uint8_t> protocol_number(std::string_view name);
std::vector<std::string_view> protocol_names();

} // namespace ubf::config
