#include "client.hpp"

#include "base/lines.hpp"
#include "base/unique_fd.hpp"
#include "base/unix_address.hpp"

#include <array>
#include <cerrno>
#include <cstring>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/time.h>

namespace ubf::ctl {
namespace {

[[noreturn]] void unreachable(const std::filesystem::path& socket, int error) {
    std::string advice;
    switch (error) {
    case ENOENT:
    case ECONNREFUSED:
        advice = "ubfd does not run; start it with 'systemctl start ubfd', or name its socket with "
                 "--socket";
        break;
    case EACCES:
    case EPERM:
        advice = "only root may ask ubfd; use sudo";
        break;
    case EAGAIN:
        advice = "ubfd does not answer; see 'systemctl status ubfd'";
        break;
    default:
        advice = std::strerror(error);
    }
    throw Unreachable(fmt::format("{}: {}", socket.string(), advice));
}

UniqueFd connect(const std::filesystem::path& socket) {
    const auto address = unix_address(socket.native());
    if (!address)
        unreachable(socket, ENAMETOOLONG);
    UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const timeval patience{5, 0};
    if (!fd || ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) < 0 ||
        ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) < 0 ||
        ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof *address) < 0)
        unreachable(socket, errno);
    return fd;
}

} // namespace

Json ask(const std::filesystem::path& socket, const Json& request) {
    constexpr std::size_t most = std::size_t{16} << 20;
    const auto fd = connect(socket);
    const auto line = request.dump() + '\n';
    if (::send(fd.get(), line.data(), line.size(), MSG_NOSIGNAL) !=
        static_cast<ssize_t>(line.size()))
        unreachable(socket, errno);
    Lines reply;
    std::array<char, 65536> buffer;
    while (!reply.has_one() && reply.size() < most) {
        const auto length = ::recv(fd.get(), buffer.data(), buffer.size(), 0);
        if (length < 0 && errno == EINTR)
            continue;
        if (length <= 0) // closed without an answer: only root gets one
            unreachable(socket, length == 0 ? EPERM : errno);
        reply.add({buffer.data(), static_cast<std::size_t>(length)});
    }
    auto json = Json::parse(reply.take().value_or(""), nullptr, false);
    if (!json.is_object())
        throw Unreachable(fmt::format("{}: what answers there is not ubfd", socket.string()));
    if (!json.value("ok", false))
        throw Refused(json.value("error", "ubfd gave no reason"));
    return json;
}

} // namespace ubf::ctl
