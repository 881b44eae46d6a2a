#include "base/secret_file.hpp"

#include <fmt/format.h>
#include <unistd.h>

namespace ubf {

std::optional<std::string> fault_of_secret(const std::filesystem::path& file,
                                           const struct stat& info, bool is_credential,
                                           std::string_view maker) {
    // systemd gives a credential to the service's user, as its owner or by an ACL. The mode then
    // shows the ACL's mask as the group's (acl(5)).
    const mode_t others = is_credential ? 037 : 077;
    if (!S_ISREG(info.st_mode))
        return fmt::format("{}: not a regular file; make a key with '{}'", file.string(), maker);
    if (!is_credential && info.st_uid != 0 && info.st_uid != ::geteuid())
        return fmt::format("{}: belongs to uid {}; who owns it knows the key: 'chown root {}' "
                           "and make a new one",
                           file.string(), info.st_uid, file.string());
    return fault_of_mode(file, info.st_mode, others);
}

std::optional<std::string> fault_of_mode(const std::filesystem::path& file, mode_t mode,
                                         mode_t others) {
    if ((mode & others) == 0)
        return std::nullopt;
    return fmt::format("{}: mode {:04o} lets others in; 'chmod 0600 {}', and make a new one if "
                       "somebody may have read it",
                       file.string(), mode & 07777, file.string());
}

} // namespace ubf
