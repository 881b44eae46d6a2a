#include "daemon/control/access_list.hpp"

#include <array>
#include <cerrno>
#include <cstddef>
#include <endian.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <sys/stat.h>
#include <sys/xattr.h>

namespace ubf {
namespace {

posix_acl_xattr_entry entry(int tag, int rights, std::uint32_t id = ACL_UNDEFINED_ID) {
    return {htole16(static_cast<std::uint16_t>(tag)), htole16(static_cast<std::uint16_t>(rights)),
            htole32(id)};
}

} // namespace

int let_in(const std::filesystem::path& file, std::optional<Uid> user) {
    if (!user)
        return ::chmod(file.c_str(), S_IRUSR | S_IWUSR) < 0 ? errno : 0;
    constexpr int rights = ACL_READ | ACL_WRITE;
    // The kernel wants them in this order.
    const struct {
        posix_acl_xattr_header header;
        std::array<posix_acl_xattr_entry, 5> entries;
    } list{{htole32(POSIX_ACL_XATTR_VERSION)},
           {entry(ACL_USER_OBJ, rights), entry(ACL_USER, rights, value(*user)),
            entry(ACL_GROUP_OBJ, 0), entry(ACL_MASK, rights), entry(ACL_OTHER, 0)}};
    static_assert(sizeof list ==
                  sizeof(posix_acl_xattr_header) + 5 * sizeof(posix_acl_xattr_entry));
    return ::setxattr(file.c_str(), "system.posix_acl_access", &list, sizeof list, 0) < 0 ? errno
                                                                                          : 0;
}

} // namespace ubf
