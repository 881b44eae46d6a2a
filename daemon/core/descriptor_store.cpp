#include "daemon/core/descriptor_store.hpp"

#include <cstdint>
#include <cstdlib>
#include <fcntl.h>
#include <fmt/format.h>
#include <string_view>
#include <systemd/sd-daemon.h>

namespace ubf {

DescriptorStore::DescriptorStore() {
    char** names = nullptr;
    const int count = ::sd_listen_fds_with_names(1, &names);
    for (int i = 0; i < count; ++i) {
        UniqueFd fd(SD_LISTEN_FDS_START + i);
        ::fcntl(fd.get(), F_SETFD, FD_CLOEXEC);
        kept_.insert_or_assign(names[i], std::move(fd));
        std::free(names[i]); // NOLINT: it is malloc()ed
    }
    std::free(static_cast<void*>(names));
    had_any_ = !kept_.empty();
}

// systemd from 254 on tells in FDSTORE how many descriptors it keeps; 0: none.
bool DescriptorStore::is_there() {
    const char* most = std::getenv("FDSTORE");
    return std::getenv("NOTIFY_SOCKET") != nullptr &&
           (most == nullptr || std::string_view(most) != "0");
}

UniqueFd DescriptorStore::take(const std::string& name) {
    auto node = kept_.extract(name);
    return node.empty() ? UniqueFd() : std::move(node.mapped());
}

void DescriptorStore::keep(const std::string& name, int fd) {
    // Without FDPOLL=0, systemd would close a socket with a pending error.
    const auto state = fmt::format("FDSTORE=1\nFDNAME={}\nFDPOLL=0", name);
    ::sd_pid_notify_with_fds(0, 0, state.c_str(), &fd, 1);
}

void DescriptorStore::drop(const std::string& name) {
    ::sd_notify(0, fmt::format("FDSTOREREMOVE=1\nFDNAME={}", name).c_str());
}

void DescriptorStore::replace(const std::string& name, int fd) {
    drop(name);
    if (fd >= 0)
        keep(name, fd);
}

bool DescriptorStore::settle() {
    constexpr std::uint64_t patience_us = 5'000'000;
    return ::sd_notify_barrier(0, patience_us) > 0;
}

void DescriptorStore::drop_rest() {
    for (const auto& [name, fd] : kept_)
        drop(name);
    kept_.clear();
}

} // namespace ubf
