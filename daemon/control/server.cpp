#include "daemon/control/server.hpp"

#include "base/json.hpp"
#include "base/unix_address.hpp"
#include "daemon/control/access_list.hpp"
#include "daemon/control/request.hpp"
#include "owner/user_database.hpp"

#include <array>
#include <cerrno>
#include <optional>
#include <sys/socket.h>
#include <sys/stat.h>
#include <system_error>
#include <utility>

namespace ubf {
namespace {

[[noreturn]] void throw_errno(const std::filesystem::path& path, const char* what) {
    throw std::system_error(errno, std::generic_category(),
                            "control socket " + path.string() + ": " + what);
}

std::optional<Uid> user_at(int fd) {
    ucred peer{};
    socklen_t size = sizeof peer;
    if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0)
        return std::nullopt;
    return Uid{peer.uid};
}

} // namespace

ControlServer::ControlServer(EventLoop& loop, std::filesystem::path path, For whom, Handler handler)
  : loop_(loop)
  , path_(std::move(path))
  , whom_(whom)
  , portal_(whom == For::portal ? read_uid("ubf-portal") : std::nullopt)
  , handler_(std::move(handler))
  , listener_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
    if (!listener_)
        throw_errno(path_, "opening it");
    std::error_code ignored;
    std::filesystem::create_directories(path_.parent_path(), ignored);
    std::filesystem::remove(path_, ignored);
    const auto address = unix_address(path_.native());
    if (!address) {
        errno = ENAMETOOLONG;
        throw_errno(path_, "binding it");
    }
    const auto old_mask = ::umask(whom_ == For::everybody ? 0111 : 0177);
    const int bound =
        ::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof *address);
    ::umask(old_mask);
    if (bound < 0)
        throw_errno(path_, "binding it");
    // Others would not be heard, but their connections would take the places of those that wait.
    // They may if the file system has no such lists.
    if (whom_ == For::portal && let_in(path_, portal_) != 0 && ::chmod(path_.c_str(), 0666) < 0)
        throw_errno(path_, "opening it to ubf-portal");
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

bool ControlServer::is_trusted(Uid uid) const {
    return uid == Uid{0} || uid == Uid{::geteuid()} || uid == portal_;
}

void ControlServer::accept() {
    UniqueFd fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    const auto uid = fd ? user_at(fd.get()) : std::nullopt;
    if (!uid || (whom_ != For::everybody && !is_trusted(*uid)))
        return;
    make_room(*uid);
    const int number = fd.get();
    clients_.emplace(number, Client{std::move(fd), ++last_number_, {}, {}, Clock::now(), *uid});
    loop_.watch(number, [this, number] { read(number); });
}

// A user who has many clients loses the oldest of them. If all users together have too many, the
// oldest of all goes: whoever asks is answered within milliseconds, so it is one that does not ask.
void ControlServer::make_room(Uid newcomer) {
    const auto most = is_trusted(newcomer) ? most_of_one : most_of_one / 4;
    const auto hang_up_oldest = [this](std::size_t limit, auto&& chosen) {
        std::size_t count = 0;
        const std::pair<const int, Client>* oldest = nullptr;
        for (const auto& entry : clients_) {
            if (!chosen(entry.second))
                continue;
            ++count;
            if (oldest == nullptr || entry.second.since < oldest->second.since)
                oldest = &entry;
        }
        if (count >= limit)
            hang_up(oldest->first);
    };
    hang_up_oldest(most, [&](const Client& client) { return client.uid == newcomer; });
    hang_up_oldest(most_clients, [](const Client&) { return true; });
}

bool ControlServer::is_too_fast(Uid uid) {
    constexpr std::size_t most_users = 4096;
    if (whom_ != For::everybody)
        return false;
    if (rates_.size() >= most_users)
        rates_.clear();
    return !rates_[uid].add(Clock::now(), most_a_second);
}

void ControlServer::read(int fd) {
    auto& client = clients_.at(fd);
    std::array<char, most_request> buffer;
    const auto length = ::recv(fd, buffer.data(), buffer.size(), 0);
    if (length < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (length <= 0)
        return hang_up(fd);
    client.in.add({buffer.data(), static_cast<std::size_t>(length)});
    if (client.in.size() > (whom_ == For::everybody ? most_request : most_of_trusted))
        return hang_up(fd);
    go_on(fd, client.number);
}

bool ControlServer::is_there(int fd, std::uint64_t number) const {
    const auto found = clients_.find(fd);
    return found != clients_.end() && found->second.number == number;
}

// One request a round, so that nobody holds others up; and none while answers are unread.
void ControlServer::go_on(int fd, std::uint64_t number) {
    if (!is_there(fd, number) || !send(fd))
        return;
    if (clients_.at(fd).out.empty())
        handle_line(fd, number);
    if (is_there(fd, number))
        watch(fd);
}

void ControlServer::watch(int fd) {
    const auto& client = clients_.at(fd);
    const auto readable = [this, fd] { read(fd); };
    if (client.out.empty() && !client.in.has_one())
        loop_.watch(fd, readable);
    else
        loop_.watch(fd, readable, [this, fd, number = client.number] { go_on(fd, number); });
}

void ControlServer::handle_line(int fd, std::uint64_t number) {
    auto& client = clients_.at(fd);
    const auto line = client.in.take();
    if (!line)
        return;
    const auto request = parse_request(*line);
    const auto uid = client.uid;
    client.since = Clock::now();
    const Reply reply = [this, fd, number](const Json& json) { answer(fd, number, json); };
    if (!request)
        reply({{"ok", false}, {"error", "the request is not a JSON object"}});
    else if (is_too_fast(uid))
        reply({{"ok", false}, {"error", "too many requests at once; ask again in a second"}});
    else
        handler_(*request, uid, reply);
}

void ControlServer::answer(int fd, std::uint64_t number, const Json& reply) {
    if (!is_there(fd, number))
        return; // it hung up meanwhile
    clients_.at(fd).out += to_line(reply);
    if (send(fd))
        watch(fd);
}

// As much as the socket takes. False if the client has hung up.
bool ControlServer::send(int fd) {
    auto& client = clients_.at(fd);
    while (!client.out.empty()) {
        const auto length =
            ::send(fd, client.out.data(), client.out.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (length < 0 && errno == EINTR)
            continue;
        if (length < 0 && errno == EAGAIN)
            return true;
        if (length < 0) {
            hang_up(fd);
            return false;
        }
        client.out.erase(0, static_cast<std::size_t>(length));
    }
    return true;
}

void ControlServer::hang_up(int fd) {
    loop_.forget(fd);
    clients_.erase(fd);
}

} // namespace ubf
