#include "ident/key.hpp"

#include "base/key_line.hpp"
#include "base/secret_file.hpp"
#include "base/text.hpp"
#include "base/unique_fd.hpp"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <sodium.h>
#include <sys/stat.h>
#include <vector>

namespace ubf {
namespace {

constexpr std::string_view line_tag = "ubf-key-1";

std::uint32_t id_of(const Key::Bytes& bytes) {
    constexpr std::string_view purpose = "ubf key id";
    std::array<std::uint8_t, 16> hash{};
    crypto_generichash(hash.data(), hash.size(),
                       reinterpret_cast<const std::uint8_t*>(purpose.data()), purpose.size(),
                       bytes.data(), bytes.size());
    return std::uint32_t{hash[0]} << 24 | std::uint32_t{hash[1]} << 16 |
           std::uint32_t{hash[2]} << 8 | hash[3];
}

std::optional<Key> parse_key(std::string_view line) {
    auto bytes = parse_key_line(line_tag, line);
    if (!bytes)
        return std::nullopt;
    const Key key(*bytes);
    ::sodium_memzero(bytes->data(), bytes->size());
    return key;
}

KeyError system_error(const std::filesystem::path& file, std::string_view what) {
    const int code = errno;
    return KeyError(fmt::format("{}: {}: {}", file.string(), what, std::strerror(code)), code);
}

} // namespace

Key::Key(const Bytes& bytes)
  : bytes_(bytes)
  , id_(id_of(bytes)) {}

Key::~Key() {
    ::sodium_memzero(bytes_.data(), bytes_.size());
}

Key::Derived Key::derive(const char* purpose) const {
    static_assert(size == crypto_kdf_KEYBYTES);
    Derived key{};
    crypto_kdf_derive_from_key(key.data(), key.size(), 1, purpose, bytes_.data());
    return key;
}

Key Key::random() {
    Bytes bytes{};
    ::randombytes_buf(bytes.data(), bytes.size());
    const Key key(bytes);
    ::sodium_memzero(bytes.data(), bytes.size());
    return key;
}

KeyRing parse_keys(std::string_view text, const std::string& name) {
    std::vector<Key> keys;
    unsigned number = 0;
    while (!text.empty()) {
        const auto line = trim(split(text, '\n'));
        ++number;
        if (line.empty() || line.starts_with('#'))
            continue;
        const auto key = parse_key(line);
        if (!key) // the line is not quoted: it may be a key but for one digit
            throw KeyError(fmt::format("{}:{}: not a key; a key is '{} ' and {} hex digits", name,
                                       number, line_tag, 2 * Key::size));
        if (keys.size() == 2)
            throw KeyError(fmt::format("{}:{}: a third key; keep the one that signs and the one "
                                       "before it",
                                       name, number));
        keys.push_back(*key);
    }
    if (keys.empty())
        throw KeyError(fmt::format("{}: no key in it; make one with 'ubfctl keygen'", name));
    KeyRing ring{keys.front(), std::nullopt};
    if (keys.size() == 2)
        ring.previous = keys.back();
    return ring;
}

KeyRing load_keys(const KeyFile& key) {
    const auto& file = key.path;
    constexpr std::size_t most = 65536;
    const UniqueFd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    if (!fd) {
        if (errno == ENOENT)
            throw KeyError(
                fmt::format("{}: no such file; make a key with 'ubfctl keygen', and give "
                            "every node the same",
                            file.string()),
                ENOENT);
        if (errno == ELOOP)
            throw KeyError(fmt::format("{}: a symbolic link, which may point elsewhere tomorrow; "
                                       "name the file that it points to in ident.key_file",
                                       file.string()),
                           ELOOP);
        throw system_error(file, "opening the key file");
    }
    struct stat info {};
    if (::fstat(fd.get(), &info) < 0)
        throw system_error(file, "looking at the key file");
    if (const auto fault = fault_of_secret(file, info, key.is_credential, "ubfctl keygen"))
        throw KeyError(*fault);

    std::string text(most, '\0');
    const auto length = ::read(fd.get(), text.data(), text.size());
    if (length < 0)
        throw system_error(file, "reading the key file");
    struct Wipe {
        std::string& text;
        ~Wipe() { ::sodium_memzero(text.data(), text.size()); }
    } const wipe{text};
    return parse_keys(std::string_view(text).substr(0, static_cast<std::size_t>(length)),
                      file.string());
}

std::string format_key(const Key& key) {
    return format_key_line(line_tag, key.bytes()) + '\n';
}

void generate_key(const std::filesystem::path& file) {
    const UniqueFd fd(::open(file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (!fd && errno == EEXIST)
        throw KeyError(fmt::format("{}: there already, and left as it is; to rotate, make a key in "
                                   "another file, put its line first and keep the old one second",
                                   file.string()));
    if (!fd)
        throw system_error(file, "making the key file");
    auto line = format_key(Key::random());
    const auto written = ::write(fd.get(), line.data(), line.size());
    const bool good = written == static_cast<ssize_t>(line.size()) && ::fsync(fd.get()) == 0;
    ::sodium_memzero(line.data(), line.size());
    if (!good) {
        const auto error = system_error(file, "writing the key file");
        ::unlink(file.c_str());
        throw error;
    }
}

} // namespace ubf
