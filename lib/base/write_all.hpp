// Writes a text to a descriptor as a whole.
#pragma once

#include <cerrno>
#include <string_view>
#include <unistd.h>

namespace ubf {

// False if it could not be written to its end; errno says why.
inline bool write_all(int fd, std::string_view text) {
    while (!text.empty()) {
        const auto written = ::write(fd, text.data(), text.size());
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return false;
        text.remove_prefix(static_cast<std::size_t>(written));
    }
    return true;
}

} // namespace ubf
