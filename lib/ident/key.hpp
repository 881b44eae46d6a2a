// The cluster key, which authenticates ident datagrams.
//
// The key file holds a line `ubf-key-1 <64 hex digits>` for each key. The first key signs; a second
// is also accepted while the cluster rotates keys. Blank lines and lines that begin with # are
// ignored.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

namespace ubf {

class Key {
  public:
    static constexpr std::size_t size = 32;
    using Bytes = std::array<std::uint8_t, size>;

    explicit Key(const Bytes& bytes);
    static Key random();
    Key(const Key&) = default;
    Key& operator=(const Key&) = default;
    ~Key(); // leaves no copy in memory

    const Bytes& bytes() const { return bytes_; }
    // Names the key on the wire without revealing it: the first 4 bytes, big-endian, of the 16-byte
    // BLAKE2b hash of "ubf key id", keyed with this key.
    std::uint32_t id() const { return id_; }
    // A key for one purpose, which does not reveal this key (libsodium's crypto_kdf). purpose: 8
    // characters.
    using Derived = std::array<std::uint8_t, 16>;
    Derived derive(const char* purpose) const;

  private:
    Bytes bytes_;
    std::uint32_t id_;
};

struct KeyRing {
    Key current;
    std::optional<Key> previous;
};

class KeyError : public std::runtime_error {
  public:
    // code: an errno, if a system call failed.
    explicit KeyError(const std::string& what, int code = 0)
      : std::runtime_error(what)
      , code_(code) {}
    int code() const { return code_; }

  private:
    int code_;
};

// The place of the cluster key.
struct KeyFile {
    std::filesystem::path path;
    // systemd gives it to the service at a start (systemd.exec(5), Credentials): only a restart
    // changes it.
    bool is_credential = false;
};

// The file must be a regular one, and readable by nobody else. It must be owned by root or by us,
// unless it is a credential: systemd made that. Throws KeyError.
KeyRing load_keys(const KeyFile& file);
// Throws KeyError with the line. `name` names the text in messages.
KeyRing parse_keys(std::string_view text, const std::string& name);

// A line of a key file.
std::string format_key(const Key& key);
// Writes a new key to a new file, mode 0600. An existing file is never touched. Throws KeyError.
void generate_key(const std::filesystem::path& file);

} // namespace ubf
