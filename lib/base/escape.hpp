// Makes untrusted text safe to print. A process name can hold any byte, even a line feed or a
// terminal's control sequence.
#pragma once

#include "base/text.hpp"

#include <cstdint>
#include <string>
#include <string_view>

namespace ubf {

// Printable ASCII stays; a backslash and every other byte becomes \xNN.
inline std::string escape(std::string_view text) {
    constexpr std::string_view digits = "0123456789abcdef";
    std::string result;
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte >= 0x20 && byte < 0x7f && c != '\\') {
            result += c;
        } else {
            result += "\\x";
            result += digits[byte >> 4];
            result += digits[byte & 0xf];
        }
    }
    return result;
}

// The same for a word of a line: a blank is escaped, too, so that it makes no further words.
inline std::string escape_word(std::string_view text) {
    std::string result;
    for (const char c : escape(text))
        result += c == ' ' ? std::string("\\x20") : std::string(1, c);
    return result;
}

// The text that was escaped.
inline std::string unescape(std::string_view text) {
    std::string result;
    while (!text.empty()) {
        const auto byte = text.starts_with("\\x") && text.size() >= 4
                              ? number<std::uint8_t>(text.substr(2, 2), 16)
                              : std::nullopt;
        result += byte ? static_cast<char>(*byte) : text.front();
        text.remove_prefix(byte ? 4 : 1);
    }
    return result;
}

} // namespace ubf
