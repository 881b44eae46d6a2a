#include "owner/user_database.hpp"

#include "base/text.hpp"

#include <cerrno>
#include <cstdlib>
#include <grp.h>
#include <memory>
#include <pwd.h>

extern "C" {
#include <shadow/subid.h>
}

namespace ubf {

namespace {

// The entry's texts are in the buffer. Nothing if there is no such user.
template<typename Call>
std::optional<passwd> look_up(std::vector<char>& buffer, Call call) {
    constexpr std::size_t most = std::size_t{1} << 20;
    buffer.resize(1024);
    passwd entry{};
    passwd* found = nullptr;
    int error = 0;
    while ((error = call(&entry, buffer.data(), buffer.size(), &found)) == ERANGE &&
           buffer.size() < most)
        buffer.resize(buffer.size() * 2);
    return error != 0 || found == nullptr ? std::nullopt : std::optional(entry);
}

} // namespace

std::optional<Uid> read_uid(const std::string& name) {
    std::vector<char> buffer;
    const auto found =
        look_up(buffer, [&](auto... rest) { return ::getpwnam_r(name.c_str(), rest...); });
    return found ? std::optional(Uid{found->pw_uid}) : std::nullopt;
}

std::optional<Uid> look_up_uid(const std::string& user) {
    const auto named = read_uid(user);
    const auto uid = number<std::uint32_t>(user);
    if (!uid || std::to_string(*uid) != user || named == Uid{*uid})
        return named;
    if (!named)
        return Uid{*uid};
    std::vector<char> buffer;
    const auto other = look_up(buffer, [&](auto... rest) { return ::getpwuid_r(*uid, rest...); });
    return other ? std::nullopt : named;
}

std::optional<UserRecord> read_user(Uid uid) {
    std::vector<char> buffer;
    const auto looked_up =
        look_up(buffer, [&](auto... rest) { return ::getpwuid_r(value(uid), rest...); });
    if (!looked_up)
        return std::nullopt;
    const auto& entry = *looked_up;
    UserRecord record{entry.pw_name, Gid{entry.pw_gid}, {}};
    std::vector<gid_t> groups(64);
    auto count = static_cast<int>(groups.size());
    while (::getgrouplist(entry.pw_name, entry.pw_gid, groups.data(), &count) < 0 &&
           static_cast<std::size_t>(count) > groups.size()) {
        groups.resize(static_cast<std::size_t>(count));
    }
    groups.resize(static_cast<std::size_t>(count));
    for (const gid_t gid : groups)
        record.groups.push_back(Gid{gid});
    return record;
}

std::optional<Uid> read_subordinate(Uid uid) {
    [[maybe_unused]] static const bool quiet = ::subid_init("ubfd", nullptr);
    uid_t* owners = nullptr;
    const int count = ::subid_get_uid_owners(value(uid), &owners);
    const std::unique_ptr<uid_t, decltype(&std::free)> owned(owners, &std::free);
    return count == 1 ? std::optional(Uid{owners[0]}) : std::nullopt;
}

} // namespace ubf
