#include "daemon/core/bpf_programs.hpp"

#include "daemon/core/thread.hpp"

#include <bpf/bpf.h>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>
#include <vector>

namespace ubf {

bool can_be_used_without_privileges(int map) {
    constexpr std::size_t most_of_a_value = 65536;
    constexpr std::size_t most_of_a_key = 64;
    bool usable = false;
    std::thread([&] {
        enter_thread("maps");
        const std::vector<char> none(most_of_a_key);
        std::vector<char> value(most_of_a_value);
        usable = ::bpf_map_lookup_elem(map, none.data(), value.data()) == 0 || errno == ENOENT;
    }).join();
    return usable;
}

bool kernel_has_types() {
    return ::access("/sys/kernel/btf/vmlinux", R_OK) == 0;
}

std::uint32_t inode_of(const char* name_space) {
    struct stat info {};
    return ::stat(name_space, &info) == 0 ? static_cast<std::uint32_t>(info.st_ino) : 0;
}

std::uint64_t own_network_namespace() {
    const UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    std::uint64_t cookie = 0;
    socklen_t size = sizeof cookie;
    ::getsockopt(socket.get(), SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &size);
    return cookie;
}

std::string failure_of(const char* step, int error, const char* takes) {
    return error == EPERM ? fmt::format("{} is not permitted; it takes {}", step, takes)
                          : fmt::format("{} failed: {}; it takes Linux 5.19 or later", step,
                                        std::strerror(error));
}

std::string network_failure_of(const char* step, int error) {
    return failure_of(step, error, "CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN");
}

UniqueFd attach(UniqueFd kept, const bpf_program* program, int cgroup, bpf_attach_type type) {
    const int fd = ::bpf_program__fd(program);
    if (kept && ::bpf_link_update(kept.get(), fd, nullptr) == 0)
        return kept;
    return UniqueFd(::bpf_link_create(fd, cgroup, type, nullptr));
}

} // namespace ubf
