// Numbers in packets, in network byte order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace ubf {

// Both bytes must be there.
inline std::uint16_t read16(std::span<const std::uint8_t> bytes, std::size_t offset) {
    return static_cast<std::uint16_t>(bytes[offset] << 8 | bytes[offset + 1]);
}

} // namespace ubf
