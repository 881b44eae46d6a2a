#include "files.hpp"

#include "base/read_all.hpp"
#include "base/replace_file.hpp"
#include "base/secret_file.hpp"
#include "base/unique_fd.hpp"
#include "base/write_all.hpp"

#include <cerrno>
#include <cstring>
#include <ctime>
#include <fcntl.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>

namespace ubf::ctl {
namespace {

FileError failed(const std::filesystem::path& file, std::string_view what) {
    return FileError(fmt::format("{}: {}: {}", file.string(), what, std::strerror(errno)));
}

UniqueFd open_to_read(const std::filesystem::path& file) {
    UniqueFd fd(file == "-" ? ::dup(STDIN_FILENO) : ::open(file.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd)
        throw failed(file, "opening it");
    return fd;
}

std::string read_text(const UniqueFd& fd, const std::filesystem::path& file, std::size_t most) {
    auto text = read_all(fd.get(), most);
    if (!text && errno == EFBIG)
        throw FileError(fmt::format("{}: more than {} bytes", file.string(), most));
    if (!text)
        throw failed(file, "reading it");
    return std::move(*text);
}

} // namespace

std::string read_file(const std::filesystem::path& file, std::size_t most) {
    return read_text(open_to_read(file), file, most);
}

std::string read_secret(const std::filesystem::path& file) {
    constexpr std::size_t most = 65536;
    const auto fd = open_to_read(file);
    struct stat info {};
    if (::fstat(fd.get(), &info) < 0)
        throw failed(file, "looking at it");
    if (const auto fault = fault_of_mode(file, info.st_mode); fault && S_ISREG(info.st_mode))
        throw FileError(*fault);
    return read_text(fd, file, most);
}

std::vector<std::uint8_t> read_armoured(identity::Kind kind, const std::filesystem::path& file,
                                        std::size_t most) {
    const auto text = read_file(file);
    auto bytes = identity::unarmour(kind, text, most);
    if (!bytes)
        throw FileError(fmt::format("{}: no UBF {} between its BEGIN and END lines", file.string(),
                                    identity::to_string(kind)));
    return std::move(*bytes);
}

identity::NodeKeys read_node_key(const std::filesystem::path& file) {
    auto text = read_secret(file);
    auto read = identity::parse_node_keys(text);
    sodium_memzero(text.data(), text.size());
    if (!read.keys)
        throw FileError(fmt::format("{}:{}: {}; 'ubfctl node keygen' makes one", file.string(),
                                    read.line, read.mistake));
    return std::move(*read.keys);
}

void write_new(const std::filesystem::path& file, std::string_view text, Secrecy secrecy) {
    const mode_t mode = secrecy == Secrecy::secret ? 0600 : 0644;
    // Written under another name first: a file of that name is whole, or not there.
    const auto beside = fmt::format("{}.new.{}", file.string(), ::getpid());
    const UniqueFd fd(::open(beside.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode));
    if (!fd)
        throw failed(beside, "making it");
    const bool written = write_all(fd.get(), text) && ::fsync(fd.get()) == 0;
    const bool linked = written && ::link(beside.c_str(), file.c_str()) == 0;
    const int error = errno;
    ::unlink(beside.c_str());
    errno = error;
    if (!linked && errno == EEXIST)
        throw FileError(fmt::format("{}: there already, and left as it is", file.string()));
    if (!linked)
        throw failed(file, "writing it");
}

void replace_with(const std::filesystem::path& file, std::string_view text) {
    if (const auto error = replace_file(file, text, Durable::yes))
        throw FileError(fmt::format("{}: writing it: {}", file.string(), error.message()));
    ::chmod(file.c_str(), 0644);
}

std::vector<std::string> to_texts(const std::vector<Prefix>& places) {
    std::vector<std::string> texts;
    texts.reserve(places.size());
    for (const auto& place : places)
        texts.push_back(to_string(place));
    return texts;
}

std::string to_date(identity::Seconds when) {
    return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}",
                       fmt::gmtime(static_cast<std::time_t>(when.count())));
}

} // namespace ubf::ctl
