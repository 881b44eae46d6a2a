#include "base/key_line.hpp"

#include "base/text.hpp"

#include <sodium.h>

namespace ubf {

std::optional<KeyLineBytes> parse_hex_key(std::string_view hex) {
    KeyLineBytes bytes{};
    std::size_t length = 0;
    if (hex.size() != 2 * bytes.size() ||
        ::sodium_hex2bin(bytes.data(), bytes.size(), hex.data(), hex.size(), nullptr, &length,
                         nullptr) != 0 ||
        length != bytes.size())
        return std::nullopt;
    return bytes;
}

std::string to_hex(const KeyLineBytes& bytes) {
    std::array<char, 2 * std::tuple_size_v<KeyLineBytes> + 1> hex{};
    ::sodium_bin2hex(hex.data(), hex.size(), bytes.data(), bytes.size());
    std::string text(hex.data());
    ::sodium_memzero(hex.data(), hex.size());
    return text;
}

std::optional<KeyLineBytes> parse_key_line(std::string_view tag, std::string_view line) {
    constexpr std::string_view blanks = " \t\r";
    line = trim(line);
    if (!line.starts_with(tag) || line.size() == tag.size() ||
        blanks.find(line[tag.size()]) == std::string_view::npos)
        return std::nullopt;
    return parse_hex_key(trim(line.substr(tag.size())));
}

std::string format_key_line(std::string_view tag, const KeyLineBytes& bytes) {
    auto hex = to_hex(bytes);
    std::string line(tag);
    line += ' ';
    line += hex;
    ::sodium_memzero(hex.data(), hex.size());
    return line;
}

} // namespace ubf
