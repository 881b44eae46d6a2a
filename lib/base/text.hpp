// Parses text. Nothing here trusts its input.
#pragma once

#include <algorithm>
#include <charconv>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

namespace ubf {

// The whole text as a number. Nothing if the text is no number, or the number doesn't fit.
template<typename T>
std::optional<T> number(std::string_view text, int base = 10) {
    T result{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), result, base);
    if (error != std::errc{} || end != text.data() + text.size())
        return std::nullopt;
    return result;
}

// The number behind the prefix, as in "job_7"; nothing if the text lacks the prefix.
template<typename T>
std::optional<T> number_after(std::string_view prefix, std::string_view text) {
    if (!text.starts_with(prefix))
        return std::nullopt;
    return number<T>(text.substr(prefix.size()));
}

// Takes the text up to the separator, or all of it. Removes that part and the separator from
// `text`.
inline std::string_view split(std::string_view& text, char separator) {
    const auto end = std::min(text.find(separator), text.size());
    const auto part = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    return part;
}

// Without the blanks and line ends around it.
inline std::string_view trim(std::string_view text) {
    constexpr std::string_view blanks = " \t\r\n";
    text.remove_prefix(std::min(text.find_first_not_of(blanks), text.size()));
    return text.substr(0, text.find_last_not_of(blanks) + 1);
}

// Letters of ASCII alone, whatever the locale.
inline std::string to_lower(std::string_view text) {
    std::string result(text);
    for (char& c : result)
        if (c >= 'A' && c <= 'Z')
            c = static_cast<char>(c - 'A' + 'a');
    return result;
}

} // namespace ubf
