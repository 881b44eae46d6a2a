#include "daemon/ident/identity_files.hpp"

#include "base/read_all.hpp"
#include "base/replace_file.hpp"
#include "base/secret_file.hpp"
#include "base/unique_fd.hpp"
#include "config/key_file.hpp"
#include "identity/armour.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <sodium.h>
#include <span>
#include <sys/stat.h>
#include <unistd.h>

namespace ubf {
namespace {

using identity::Kind;

constexpr std::size_t most_text = 2 * identity::max_roster;

[[noreturn]] void fail(const std::filesystem::path& file, std::string_view what) {
    throw ConfigError(fmt::format("{}: {}", file.string(), what));
}

UniqueFd open_file(const std::filesystem::path& file) {
    UniqueFd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (!fd)
        fail(file, std::strerror(errno));
    return fd;
}

std::string read_text(const UniqueFd& fd, const std::filesystem::path& file) {
    auto text = read_all(fd.get(), most_text);
    if (!text)
        fail(file, errno == EFBIG ? "larger than any roster" : std::strerror(errno));
    return std::move(*text);
}

bool is_credential(const std::filesystem::path& file) {
    const auto folder = own_credentials();
    return folder && file.parent_path() == *folder;
}

identity::NodeKeys read_keys(const std::filesystem::path& file) {
    const auto fd = open_file(file);
    struct stat info {};
    if (::fstat(fd.get(), &info) < 0)
        fail(file, std::strerror(errno));
    if (const auto fault = fault_of_secret(file, info, is_credential(file), "ubfctl node keygen"))
        throw ConfigError(*fault);
    auto text = read_text(fd, file);
    auto read = identity::parse_node_keys(text);
    sodium_memzero(text.data(), text.size());
    if (!read.keys)
        throw ConfigError(fmt::format("{}:{}: {}; 'ubfctl node keygen' makes one", file.string(),
                                      read.line, read.mistake));
    return std::move(*read.keys);
}

std::vector<std::uint8_t> read_armoured(Kind kind, const std::filesystem::path& file,
                                        std::size_t most) {
    auto bytes = identity::unarmour(kind, read_text(open_file(file), file), most);
    if (!bytes)
        fail(file, fmt::format("no UBF {} between its BEGIN and END lines", to_string(kind)));
    return std::move(*bytes);
}

identity::Roster to_roster(const std::filesystem::path& file, std::span<const std::uint8_t> bytes,
                           const identity::Authorities& authorities,
                           const identity::Roster* before = nullptr) {
    auto roster = identity::Roster::read(bytes, authorities, before);
    if (!roster)
        fail(file, fmt::format("the roster is {}; make it again with 'ubfctl ca roster', and see "
                               "that identity.authorities has the authority that signed it",
                               to_string(roster.error())));
    return std::move(*roster);
}

// If it can't be kept, the warnings about the folder say so.
void keep(const std::filesystem::path& file, std::span<const std::uint8_t> bytes) {
    std::error_code ignored;
    std::filesystem::create_directories(file.parent_path(), ignored);
    static_cast<void>(replace_file(file, identity::armour(Kind::roster, bytes), Durable::no));
}

// If a predecessor has accepted a newer one, it is that one: the file may be of a backup, without
// serials that are revoked by now.
identity::Roster read_newest(const Config& config) {
    const auto& file = config.identity.roster;
    const auto& authorities = config.identity.authorities;
    const auto bytes = read_armoured(Kind::roster, file, identity::max_roster);
    auto roster = to_roster(file, bytes, authorities);
    try {
        const auto kept_file = kept_roster(config);
        const auto kept = read_armoured(Kind::roster, kept_file, identity::max_roster);
        return kept == bytes ? roster : to_roster(kept_file, kept, authorities, &roster);
    } catch (const ConfigError&) {
        return roster; // none was kept, it is older, or its authority is not accepted any more
    }
}

} // namespace

std::shared_ptr<ident::Identities> load_identities(const Config& config) {
    const auto& files = config.identity;
    if (files.key.empty())
        return nullptr;
    auto keys = read_keys(files.key);
    auto bytes = read_armoured(Kind::certificate, files.certificate, identity::max_certificate);
    auto own = identity::check_certificate(bytes, files.authorities);
    if (!own)
        fail(files.certificate,
             fmt::format("the certificate is {}; have this node's request signed by the authority "
                         "in identity.authorities",
                         to_string(own.error())));
    if (own->key != keys.current.public_key())
        fail(files.certificate, "the certificate is of another key than identity.key; have a "
                                "request of the current one signed");
    identity::Roster roster;
    if (!files.roster.empty())
        roster = read_newest(config);
    return std::make_shared<ident::Identities>(
        ident::Identities::Own{std::move(keys), std::move(bytes), std::move(*own),
                               files.authorities, files.classes, config.ident.require_certificates},
        std::move(roster));
}

std::filesystem::path kept_roster(const Config& config) {
    return config.labels.state_directory / "roster";
}

RosterFile::Look RosterFile::look(const Config& config, ident::Identities& identities) {
    const auto& file = config.identity.roster;
    struct stat info {};
    Mark mark{};
    if (::stat(file.c_str(), &info) == 0)
        mark = {info.st_ino, info.st_size, info.st_mtim.tv_sec, info.st_mtim.tv_nsec};
    if (seen_ == mark)
        return {};
    const bool first = !seen_;
    seen_ = mark;
    try {
        const auto before = identities.roster();
        const auto bytes = read_armoured(Kind::roster, file, identity::max_roster);
        auto roster = to_roster(file, bytes, identities.own().authorities, before.get());
        keep(kept_roster(config), bytes);
        if (first && !before->is_older_than(roster))
            return {}; // as it was at the start
        identities.set_roster(std::move(roster));
        return {News::changed};
    } catch (const ConfigError& error) {
        return {News::bad, error.what()};
    }
}

} // namespace ubf
