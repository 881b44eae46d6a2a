// A key as a line of text: a tag, blanks, and 64 hex digits.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace ubf {

using KeyLineBytes = std::array<std::uint8_t, 32>;

// Nothing but 64 hex digits is a key.
std::optional<KeyLineBytes> parse_hex_key(std::string_view hex);
std::string to_hex(const KeyLineBytes& bytes);

// Blanks around the line don't count.
std::optional<KeyLineBytes> parse_key_line(std::string_view tag, std::string_view line);
std::string format_key_line(std::string_view tag, const KeyLineBytes& bytes); // without a line end

} // namespace ubf
