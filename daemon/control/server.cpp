#include "daemon/control/server.hpp"

#include "config/config.hpp"
#include "daemon/control/request.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <system_error>

namespace ubf {
namespace {

[[noreturn]] void throw_errno(const std::filesystem::path& path, const char* what) {
    throw std::system_error(errno, std::generic_category(),
                            "control socket " + path.string() + ": " + what);
}

sockaddr_un to_sockaddr(const std::filesystem::path& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.native().size() >= sizeof address.sun_path)
        throw ConfigError(fmt::format("control.socket: {}: the path is too long; {} characters at "
                                      "most",
                                      path.string(), sizeof address.sun_path - 1));
    std::ranges::copy(path.native(), address.sun_path);
    return address;
}

bool is_privileged(int fd) {
    ucred peer{};
    socklen_t size = sizeof peer;
    return ::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
           (peer.uid == 0 || peer.uid == ::geteuid());
}

// Names of processes are any bytes: what isn't UTF-8 is replaced, never thrown at us.
std::string to_line(const ControlServer::Json& json) {
    return json.dump(-1, ' ', true, ControlServer::Json::error_handler_t::replace) + '\n';
}

} // namespace

ControlServer::ControlServer(EventLoop& loop, std::filesystem::path path, Handler handler)
  : loop_(loop)
  , path_(std::move(path))
  , handler_(std::move(handler))
  , listener_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
    if (!listener_)
        throw_errno(path_, "opening it");
    std::error_code ignored;
    std::filesystem::create_directories(path_.parent_path(), ignored);
    std::filesystem::remove(path_, ignored);
    const auto address = to_sockaddr(path_);
    const auto old_mask = ::umask(0177);
    const int bound =
        ::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
    ::umask(old_mask);
    if (bound < 0)
        throw_errno(path_, "binding it");
    if (::listen(listener_.get(), 16) < 0)
        throw_errno(path_, "listening on it");
    loop_.watch(listener_.get(), [this] { accept(); });
}

ControlServer::~ControlServer() {
    loop_.forget(listener_.get());
    while (!clients_.empty())
        hang_up(clients_.begin()->first);
    std::error_code ignored;
    std::filesystem::remove(path_, ignored);
}

void ControlServer::accept() {
    UniqueFd fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!fd || !is_privileged(fd.get()))
        return;
    make_room();
    const int number = fd.get();
    clients_.emplace(number, Client{std::move(fd), ++last_number_, {}, {}, Clock::now()});
    loop_.watch(number, [this, number] { read(number); });
}

// The one that has been here longest goes.
void ControlServer::make_room() {
    if (clients_.size() < most_clients)
        return;
    const auto oldest = std::ranges::min_element(
        clients_, {}, [](const auto& entry) { return entry.second.since; });
    hang_up(oldest->first);
}

void ControlServer::read(int fd) {
    auto& client = clients_.at(fd);
    std::array<char, most_request> buffer;
    const auto length = ::recv(fd, buffer.data(), buffer.size(), 0);
    if (length < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (length <= 0)
        return hang_up(fd);
    client.in.append(buffer.data(), static_cast<std::size_t>(length));
    const auto end = client.in.find('\n');
    if (end == std::string::npos) {
        if (client.in.size() > most_request)
            hang_up(fd);
        return;
    }
    const auto request = parse_request(client.in.substr(0, end));
    client.in.erase(0, end + 1);
    const auto number = client.number;
    const Reply reply = [this, fd, number](const Json& json) { answer(fd, number, json); };
    if (!request)
        return reply({{"ok", false}, {"error", "the request is not a JSON object"}});
    handler_(*request, reply);
}

void ControlServer::answer(int fd, std::uint64_t number, const Json& reply) {
    const auto found = clients_.find(fd);
    if (found == clients_.end() || found->second.number != number)
        return; // it hung up meanwhile
    found->second.out += to_line(reply);
    write(fd);
}

void ControlServer::write(int fd) {
    auto& client = clients_.at(fd);
    while (!client.out.empty()) {
        const auto length =
            ::send(fd, client.out.data(), client.out.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (length < 0 && errno == EINTR)
            continue;
        if (length < 0 && errno == EAGAIN) {
            loop_.watch(
                fd, [this, fd] { read(fd); }, [this, fd] { write(fd); });
            return;
        }
        if (length < 0)
            return hang_up(fd);
        client.out.erase(0, static_cast<std::size_t>(length));
    }
    loop_.watch(fd, [this, fd] { read(fd); });
}

void ControlServer::hang_up(int fd) {
    loop_.forget(fd);
    clients_.erase(fd);
}

} // namespace ubf
