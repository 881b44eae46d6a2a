// The files of identity: read as a whole, and written so that nothing which is there is lost.
#pragma once

#include "identity/armour.hpp"
#include "identity/certificate.hpp"
#include "identity/clock.hpp"
#include "identity/keys.hpp"

#include <chrono>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace ubf::ctl {

inline constexpr const char* default_node_key = "/etc/ubf/node.key";
inline constexpr const char* default_certificate = "/etc/ubf/node.crt";
inline constexpr const char* default_ca = "/etc/ubf-ca";

// A file that can't be used; exit status EX_CANTCREAT.
class FileError : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

inline constexpr std::size_t most_of_a_file = std::size_t{34} << 20; // a roster in armour

std::string read_file(const std::filesystem::path& file, std::size_t most = most_of_a_file);
// A file that others may read would give the secret away.
std::string read_secret(const std::filesystem::path& file);
std::vector<std::uint8_t> read_armoured(identity::Kind kind, const std::filesystem::path& file,
                                        std::size_t most);
identity::NodeKeys read_node_key(const std::filesystem::path& file);
// Mode 0600 for a secret, else 0644. A file that is there stays as it is: that is an error.
enum class Secrecy : bool { open, secret };
void write_new(const std::filesystem::path& file, std::string_view text, Secrecy secrecy);
// Replaces what is there, as a whole, mode 0644.
void replace_with(const std::filesystem::path& file, std::string_view text);

std::vector<std::string> to_texts(const std::vector<Prefix>& places);
using identity::seconds_now;
std::string to_date(identity::Seconds when); // 2026-11-29T09:00:00Z

} // namespace ubf::ctl
