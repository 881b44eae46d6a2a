// Makes untrusted text safe to print. A process name can hold any byte, even a line feed or a
// terminal's control sequence.
#pragma once

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

} // namespace ubf
