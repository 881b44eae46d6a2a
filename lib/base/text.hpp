// Taking text apart. Nothing here trusts what it reads.
#pragma once

#include <algorithm>
#include <charconv>
#include <optional>
#include <string_view>
#include <system_error>

namespace ubf {

// The whole text as a number; nothing where it is none, or doesn't fit.
template<typename T>
std::optional<T> number(std::string_view text, int base = 10) {
    T result{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), result, base);
    if (error != std::errc{} || end != text.data() + text.size())
        return std::nullopt;
    return result;
}

// The number behind the prefix, as in "job_7"; nothing where the text doesn't begin with it.
template<typename T>
std::optional<T> number_after(std::string_view prefix, std::string_view text) {
    if (!text.starts_with(prefix))
        return std::nullopt;
    return number<T>(text.substr(prefix.size()));
}

// What stands before the separator, or all; it is taken off the text, and the separator with it.
inline std::string_view split(std::string_view& text, char separator) {
    const auto end = std::min(text.find(separator), text.size());
    const auto part = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    return part;
}

} // namespace ubf
