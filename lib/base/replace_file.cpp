#include "base/replace_file.hpp"

#include "base/unique_fd.hpp"
#include "base/write_all.hpp"

#include <cerrno>
#include <fcntl.h>
#include <unistd.h>

namespace ubf {
namespace {

// Not through what is there already: it may be a link, or have another mode.
bool write_new(const std::filesystem::path& file, std::string_view text, Durable durable) {
    ::unlink(file.c_str());
    const UniqueFd fd(::open(file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    return fd && write_all(fd.get(), text) && (durable == Durable::no || ::fsync(fd.get()) == 0);
}

} // namespace

std::error_code replace_file(const std::filesystem::path& file, std::string_view text,
                             Durable durable) {
    auto beside = file;
    beside += ".new";
    if (write_new(beside, text, durable) && ::rename(beside.c_str(), file.c_str()) == 0)
        return {};
    const std::error_code error(errno, std::generic_category());
    ::unlink(beside.c_str());
    return error;
}

} // namespace ubf
