#include "identity/armour.hpp"

#include "base/text.hpp"

#include <fmt/format.h>
#include <sodium.h>

namespace ubf::identity {
namespace {

constexpr std::size_t line_length = 64;
constexpr int variant = sodium_base64_VARIANT_ORIGINAL;

std::string begin_of(Kind kind) {
    return fmt::format("-----BEGIN UBF {}-----\n", to_string(kind));
}

std::string end_of(Kind kind) {
    return fmt::format("-----END UBF {}-----", to_string(kind));
}

} // namespace

std::string_view to_string(Kind kind) {
    switch (kind) {
    case Kind::certificate:
        return "CERTIFICATE";
    case Kind::roster:
        return "ROSTER";
    case Kind::grant:
        return "GRANT";
    case Kind::request:
        return "REQUEST";
    case Kind::signing_key:
        return "SIGNING KEY";
    case Kind::count_:
        break;
    }
    return "?";
}

std::string armour(Kind kind, Bytes bytes) {
    std::string code(sodium_base64_encoded_len(bytes.size(), variant), '\0');
    sodium_bin2base64(code.data(), code.size(), bytes.data(), bytes.size(), variant);
    code.pop_back(); // the zero at the end
    auto text = begin_of(kind);
    text.reserve(text.size() + code.size() + code.size() / line_length + 64);
    for (std::size_t at = 0; at < code.size(); at += line_length) {
        text.append(code, at, line_length);
        text += '\n';
    }
    return text + end_of(kind) + '\n';
}

std::optional<std::vector<std::uint8_t>> unarmour(Kind kind, std::string_view text,
                                                  std::size_t most) {
    text = trim(text);
    const auto begin = begin_of(kind);
    const auto end = end_of(kind);
    if (text.size() < begin.size() + end.size() || !text.starts_with(begin) || !text.ends_with(end))
        return std::nullopt;
    const auto code = text.substr(begin.size(), text.size() - begin.size() - end.size());
    std::vector<std::uint8_t> bytes(std::min(most, code.size() / 4 * 3 + 3));
    std::size_t length = 0;
    const char* stop = nullptr;
    if (sodium_base642bin(bytes.data(), bytes.size(), code.data(), code.size(), "\r\n", &length,
                          &stop, variant) != 0 ||
        stop != code.data() + code.size())
        return std::nullopt;
    bytes.resize(length);
    return bytes;
}

} // namespace ubf::identity
