#include "label/cipso.hpp"

#include "base/bytes.hpp"

namespace ubf {
namespace {

using Bytes = std::span<const std::uint8_t>;

constexpr std::uint8_t end_of_options = 0; // RFC 791
constexpr std::uint8_t no_operation = 1;
constexpr std::uint8_t cipso = 134;
constexpr std::size_t option_header = 6; // type, length, domain of interpretation
constexpr std::size_t tag_header = 4;    // type, length, 0, sensitivity

enum Tag : std::uint8_t { bitmap = 1, enumerated = 2, ranged = 5, local = 128 };

// The first bit of the first byte is category 0.
void add_bitmap(std::vector<std::uint32_t>& categories, Bytes bits) {
    for (std::size_t i = 0; i < bits.size() * 8; ++i)
        if ((bits[i / 8] & (0x80u >> i % 8)) != 0)
            categories.push_back(static_cast<std::uint32_t>(i));
}

bool add_enumerated(std::vector<std::uint32_t>& categories, Bytes numbers) {
    if (numbers.size() % 2 != 0)
        return false;
    for (std::size_t i = 0; i < numbers.size(); i += 2)
        categories.push_back(read16(numbers, i));
    return true;
}

// Pairs of the last and the first category of a range. The final pair may omit the first, which is
// then 0.
bool add_ranged(std::vector<std::uint32_t>& categories, Bytes pairs) {
    if (pairs.size() % 2 != 0)
        return false;
    for (std::size_t i = 0; i < pairs.size(); i += 4) {
        const std::uint32_t last = read16(pairs, i);
        const std::uint32_t first = i + 4 <= pairs.size() ? read16(pairs, i + 2) : 0;
        if (first > last || last >= most_categories)
            return false;
        for (auto number = first; number <= last; ++number)
            categories.push_back(number);
    }
    return true;
}

std::optional<SelinuxLevel> level_of_tag(Bytes tag) {
    if (tag.size() < tag_header)
        return std::nullopt;
    SelinuxLevel level;
    level.sensitivity = tag[3];
    auto& categories = level.categories;
    const auto rest = tag.subspan(tag_header);
    bool good = true;
    switch (tag[0]) {
    case bitmap:
        add_bitmap(categories, rest);
        break;
    case enumerated:
        good = add_enumerated(categories, rest);
        break;
    case ranged:
        good = add_ranged(categories, rest);
        break;
    default:
        good = false;
    }
    sort_categories(categories);
    if (!good || (!categories.empty() && categories.back() >= most_categories))
        return std::nullopt;
    return level;
}

// Reads a single tag. The kernel sends no more; with several, it would be unknown which one counts.
std::optional<StatedLevel> read_option(Bytes option) {
    if (option.size() < option_header + 2)
        return StatedLevel{};
    const auto tag = option.subspan(option_header);
    if (tag[0] == local)
        return std::nullopt;
    return StatedLevel{tag[1] == tag.size() ? level_of_tag(tag) : std::nullopt};
}

} // namespace

std::optional<StatedLevel> stated_level(Bytes packet) {
    constexpr std::size_t min_header = 20;
    if (packet.size() < min_header || packet[0] >> 4 != 4)
        return std::nullopt;
    const std::size_t header = std::size_t{4} * (packet[0] & 0x0fu);
    if (header < min_header || header > packet.size())
        return std::nullopt;
    auto options = packet.subspan(min_header, header - min_header);
    while (!options.empty() && options[0] != end_of_options) {
        if (options[0] == no_operation) {
            options = options.subspan(1);
            continue;
        }
        if (options.size() < 2 || options[1] < 2 || options[1] > options.size())
            return StatedLevel{}; // a level may follow the unreadable option
        if (options[0] == cipso)
            return read_option(options.first(options[1]));
        options = options.subspan(options[1]);
    }
    return std::nullopt;
}

} // namespace ubf
