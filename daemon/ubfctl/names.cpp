#include "names.hpp"

#include "base/text.hpp"
#include "command.hpp"

#include <fmt/format.h>
#include <grp.h>
#include <pwd.h>

namespace ubf::ctl {

std::uint32_t uid_of(const std::string& user) {
    if (const auto* entry = ::getpwnam(user.c_str()))
        return entry->pw_uid;
    if (const auto uid = ubf::number<std::uint32_t>(user))
        return *uid;
    throw UsageError(fmt::format("the user database knows no user '{}'; write a name that it "
                                 "knows, or a uid",
                                 user));
}

void Names::add(Json& party) {
    if (!party.contains("uid"))
        return;
    if (const auto& name = find(party.at("uid").get<std::uint32_t>()); !name.empty())
        party["user"] = name;
}

std::string Names::user(std::uint32_t uid) {
    const auto& name = find(uid);
    return name.empty() ? std::to_string(uid) : name;
}

std::string Names::group(std::uint32_t gid) {
    const auto [entry, is_new] = groups_.try_emplace(gid);
    if (is_new) {
        const auto* group = ::getgrgid(gid);
        entry->second = group != nullptr ? group->gr_name : std::to_string(gid);
    }
    return entry->second;
}

const std::string& Names::find(std::uint32_t uid) {
    const auto [entry, is_new] = users_.try_emplace(uid);
    if (const auto* user = is_new ? ::getpwuid(uid) : nullptr)
        entry->second = user->pw_name;
    return entry->second;
}

} // namespace ubf::ctl
