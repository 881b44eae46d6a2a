// The parts that a datagram under the cluster key (wire.hpp) and a sealed one (sealed.hpp) have in
// common.
#pragma once

#include "base/buffer.hpp"
#include "ident/wire.hpp"

#include <array>
#include <cstdint>
#include <optional>
#include <span>

namespace ubf::ident {

// Addresses and ports, which every datagram is bound to.
inline constexpr std::size_t ends_size = 36;
std::array<std::uint8_t, ends_size> ends_of(const Path& path);

std::uint8_t kind_of(const Entries& entries);
struct Written {
    std::size_t bytes = 0;
    std::uint8_t count = 0;
};
// As many as fit, from `first` on, which moves past them.
Written put_entries(std::span<std::uint8_t> out, const Entries& entries, std::size_t& first);
// The caller checks whether more follows.
std::optional<Entries> get_entries(Reader& in, std::uint8_t kind, std::uint8_t count);

} // namespace ubf::ident
