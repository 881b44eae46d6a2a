// Looks up uids in the user database (NSS: files, LDAP, SSSD, ...). A look-up takes as long as the
// slowest directory server, so no waiting packet may depend on it.
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

// Nothing if the database has no such user, or can't be asked.
std::optional<UserRecord> read_user(Uid uid);

std::optional<Uid> read_uid(const std::string& name);
// The same of a name or a uid, as text. A name may be a number, as students have them. If it is one
// user's name and another's uid, it is nobody's: whoever says it may mean either.
std::optional<Uid> look_up_uid(const std::string& user);

// The user to whom a uid is subordinate, by /etc/subuid or a directory (subuid(5), libsubid).
// Nothing if there is no such user, or several.
std::optional<Uid> read_subordinate(Uid uid);

} // namespace ubf
