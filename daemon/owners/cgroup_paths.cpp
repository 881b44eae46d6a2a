#include "daemon/owners/cgroup_paths.hpp"

#include <array>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <fmt/format.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <system_error>

namespace ubf {
namespace {

// FILEID_KERNFS, linux/exportfs.h: the handle is the id, in this machine's byte order.
constexpr int kernfs_handle = 0xfe;

UniqueFd open_by_id(int mount, std::uint64_t id) {
    alignas(file_handle) std::array<unsigned char, sizeof(file_handle) + sizeof id> room{};
    auto* handle = reinterpret_cast<file_handle*>(room.data());
    handle->handle_bytes = sizeof id;
    handle->handle_type = kernfs_handle;
    std::memcpy(room.data() + sizeof(file_handle), &id, sizeof id);
    return UniqueFd(::open_by_handle_at(mount, handle, O_PATH | O_CLOEXEC));
}

std::optional<std::string> path(const std::unordered_map<std::uint64_t, std::string>& paths,
                                std::uint64_t id) {
    if (id == 0)
        return "/";
    const auto found = paths.find(id);
    return found == paths.end() ? std::nullopt : std::optional(found->second);
}

} // namespace

CgroupPaths::CgroupPaths()
  : v1_(open("/sys/fs/cgroup/freezer", CGROUP_SUPER_MAGIC))
  , v2_(open("/sys/fs/cgroup", CGROUP2_SUPER_MAGIC)) {
    if (!v2_.fd)
        v2_ = open("/sys/fs/cgroup/unified", CGROUP2_SUPER_MAGIC);
}

CgroupPaths::Hierarchy CgroupPaths::open(const char* mount, long type) {
    UniqueFd fd(::open(mount, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    struct statfs system {};
    struct stat root {};
    if (!fd || ::fstatfs(fd.get(), &system) < 0 || system.f_type != type ||
        ::fstat(fd.get(), &root) < 0)
        return {};
    return {mount, std::move(fd), root.st_ino};
}

std::optional<std::string> CgroupPaths::known(std::uint64_t v1, std::uint64_t v2) const {
    const auto known = known_.lock();
    const auto first = path(known->v1, v1);
    const auto second = path(known->v2, v2);
    if (!first || !second)
        return std::nullopt;
    return fmt::format("1:freezer:{}\n0::{}\n", *first, *second);
}

std::optional<std::string> CgroupPaths::find(std::uint64_t v1, std::uint64_t v2) {
    if (auto text = known(v1, v2))
        return text;
    learn(v1_, &Known::v1, v1);
    learn(v2_, &Known::v2, v2);
    return known(v1, v2);
}

void CgroupPaths::learn(const Hierarchy& hierarchy, Paths Known::*paths, std::uint64_t id) {
    if (id == 0 || !hierarchy.fd)
        return;
    const auto fd = open_by_id(hierarchy.fd.get(), id);
    if (!fd)
        return;
    std::error_code error;
    const auto path =
        std::filesystem::read_symlink(fmt::format("/proc/self/fd/{}", fd.get()), error).native();
    if (error || !path.starts_with(hierarchy.mount + '/') || path.ends_with(" (deleted)"))
        return;
    const auto known = known_.lock();
    auto& of_hierarchy = (*known).*paths;
    if (of_hierarchy.size() >= most)
        of_hierarchy.clear();
    of_hierarchy[id] = path.substr(hierarchy.mount.size());
}

} // namespace ubf
