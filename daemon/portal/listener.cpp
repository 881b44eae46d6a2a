#include "daemon/portal/listener.hpp"

#include "base/unix_address.hpp"

#include <cerrno>
#include <fmt/format.h>
#include <stdexcept>
#include <sys/socket.h>
#include <system_error>
#include <unistd.h>
#include <utility>

namespace ubf::portal {
namespace {

constexpr int backlog = 1024;

std::system_error trouble(const std::filesystem::path& path, const char* cure) {
    return {errno, std::generic_category(),
            fmt::format("can't listen at portal.socket, {}; {}", path.native(), cure)};
}

void give_to(const std::filesystem::path& path, std::optional<Gid> group) {
    if (group && ::chown(path.c_str(), static_cast<uid_t>(-1), value(*group)) < 0)
        throw trouble(path, "it takes CAP_CHOWN, or membership, to give it to portal.group");
}

// A socket that a killed predecessor left behind goes; one at which somebody listens stays.
void clear(const std::filesystem::path& path, const sockaddr_un& address) {
    const UniqueFd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0)
        throw std::runtime_error(fmt::format(
            "another program listens at portal.socket, {}; stop it first", path.native()));
    if (errno == ECONNREFUSED)
        ::unlink(path.c_str());
}

} // namespace

Listener::Listener(std::filesystem::path path, std::optional<Gid> group)
  : path_(std::move(path)) {
    const auto address = unix_address(path_.native());
    if (!address)
        throw std::runtime_error(
            fmt::format("portal.socket has more than {} bytes; shorten it", most_unix_path));
    clear(path_, *address);
    socket_ = UniqueFd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    const auto before = ::umask(0177); // nobody else, until its group is right
    const bool bound =
        ::bind(socket_.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof *address) == 0;
    ::umask(before);
    if (!bound)
        throw trouble(path_, "see that its directory is there, and belongs to ubf-portal");
    give_to(path_, group);
    if (::chmod(path_.c_str(), 0660) < 0 || ::listen(socket_.get(), backlog) < 0 ||
        ::lstat(path_.c_str(), &file_) < 0)
        throw trouble(path_, "see who else changes its directory");
}

Listener::~Listener() {
    if (!leaves_file_ && is_in_place())
        ::unlink(path_.c_str());
}

std::optional<Listener::Arrival> Listener::accept() {
    UniqueFd socket(::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!socket)
        return std::nullopt;
    ucred credentials{};
    socklen_t length = sizeof credentials;
    if (::getsockopt(socket.get(), SOL_SOCKET, SO_PEERCRED, &credentials, &length) < 0)
        return std::nullopt;
    return Arrival{std::move(socket), {Uid{credentials.uid}, Pid{credentials.pid}}};
}

bool Listener::is_in_place() const {
    struct stat now {};
    return ::lstat(path_.c_str(), &now) == 0 && now.st_dev == file_.st_dev &&
           now.st_ino == file_.st_ino && now.st_uid == file_.st_uid && now.st_gid == file_.st_gid &&
           now.st_mode == file_.st_mode;
}

} // namespace ubf::portal
