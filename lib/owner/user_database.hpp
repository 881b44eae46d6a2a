// What the user database (NSS: files, LDAP, SSSD, ...) says of a uid. It may take as long as the
// slowest directory server: never called while a packet waits for it.
#pragma once

#include "base/types.hpp"

#include <optional>
#include <string>
#include <vector>

namespace ubf {

struct UserRecord {
    std::string name;
    Gid gid{};               // primary
    std::vector<Gid> groups; // all of which the user is a member, the primary one included
};

// Nothing where the database has no such user, or can't be asked.
std::optional<UserRecord> read_user(Uid uid);

// To whom a uid is subordinate, as /etc/subuid or a directory has it (subuid(5), libsubid). Nothing
// where it is nobody's, or of several.
std::optional<Uid> read_subordinate(Uid uid);

} // namespace ubf
