// Keys, tokens and armour: the texts of identity.
#include "identity/armour.hpp"
#include "fuzzer.hpp"
#include "identity/request.hpp"

#include <fmt/format.h>

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace ubf::identity;
    const auto text = ubf::fuzz::text(data, size);
    constexpr std::size_t most = 4096;
    for (int kind = 0; kind < static_cast<int>(Kind::count_); ++kind)
        if (const auto bytes = unarmour(Kind(kind), text, most))
            ubf::fuzz::require(bytes->size() <= most &&
                               unarmour(Kind(kind), armour(Kind(kind), *bytes), most) == bytes);
    const auto keys = parse_node_keys(text);
    ubf::fuzz::require(keys.keys.has_value() == keys.mistake.empty());
    if (const auto authority = parse_authority(text))
        ubf::fuzz::require(parse_authority(format_authority(*authority)) == authority);
    if (const auto token = parse_token(text))
        ubf::fuzz::require(parse_token(format_token(*token)).has_value());
    return 0;
}
