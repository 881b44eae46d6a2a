// What each fuzzer has: libFuzzer calls this with bytes of its own making.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace ubf::fuzz {

inline std::string_view text(const std::uint8_t* data, std::size_t size) {
    return {reinterpret_cast<const char*>(data), size};
}

// What must hold whatever the input is.
inline void require(bool holds) {
    if (!holds)
        std::abort();
}

} // namespace ubf::fuzz
