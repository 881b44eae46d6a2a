// Reads a descriptor or a file to its end.
#pragma once

#include "base/unique_fd.hpp"

#include <array>
#include <cerrno>
#include <cstddef>
#include <fcntl.h>
#include <filesystem>
#include <optional>
#include <string>
#include <unistd.h>

namespace ubf {

// most: bytes. Nothing if it can't be read, or has more (EFBIG); errno says why.
inline std::optional<std::string> read_all(int fd, std::size_t most) {
    std::string text;
    std::array<char, 65536> chunk;
    for (;;) {
        const auto count = ::read(fd, chunk.data(), chunk.size());
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return std::nullopt;
        if (count == 0)
            return text;
        text.append(chunk.data(), static_cast<std::size_t>(count));
        if (text.size() > most) {
            errno = EFBIG;
            return std::nullopt;
        }
    }
}

inline std::optional<std::string> read_all(const std::filesystem::path& file, std::size_t most) {
    const UniqueFd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
    return fd ? read_all(fd.get(), most) : std::nullopt;
}

} // namespace ubf
