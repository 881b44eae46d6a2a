// Numbers in packets, in network byte order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace ubf {

// The caller makes sure that the span holds all bytes of the number.
inline std::uint16_t read16(std::span<const std::uint8_t> bytes, std::size_t offset) {
    return static_cast<std::uint16_t>(bytes[offset] << 8 | bytes[offset + 1]);
}

inline std::uint32_t read32(std::span<const std::uint8_t> bytes, std::size_t offset) {
    return std::uint32_t{read16(bytes, offset)} << 16 | read16(bytes, offset + 2);
}

} // namespace ubf
