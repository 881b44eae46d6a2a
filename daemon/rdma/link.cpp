#include "daemon/rdma/link.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <sys/socket.h>
#include <sys/un.h>
#include <utility>

namespace ubf::rdma {

Link::Link(EventLoop& loop, std::filesystem::path path,
           std::function<void(const std::string&)> heard,
           std::function<void(const std::string&)> lost)
  : loop_(loop)
  , path_(std::move(path))
  , heard_(std::move(heard))
  , lost_(std::move(lost)) {}

std::string Link::connect() {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path_.native().size() >= sizeof address.sun_path)
        return "the path is too long";
    std::ranges::copy(path_.native(), address.sun_path);
    UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd || ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) < 0)
        return std::strerror(errno);
    in_.clear();
    out_.clear();
    socket_ = std::move(fd);
    loop_.watch(socket_.get(), [this] { read(); });
    return {};
}

void Link::send(const std::string& line) {
    if (!is_up())
        return;
    out_ += line;
    write();
}

void Link::write() {
    while (!out_.empty()) {
        const auto length =
            ::send(socket_.get(), out_.data(), out_.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (length < 0 && errno == EINTR)
            continue;
        if (length < 0 && errno == EAGAIN) {
            loop_.watch(
                socket_.get(), [this] { read(); }, [this] { write(); });
            return;
        }
        if (length < 0)
            return lose(std::strerror(errno));
        out_.erase(0, static_cast<std::size_t>(length));
    }
    loop_.watch(socket_.get(), [this] { read(); });
}

void Link::read() {
    std::array<char, 65536> buffer;
    const auto length = ::recv(socket_.get(), buffer.data(), buffer.size(), 0);
    if (length < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (length <= 0)
        return lose(length == 0 ? "it has closed the connection" : std::strerror(errno));
    in_.append(buffer.data(), static_cast<std::size_t>(length));
    for (auto end = in_.find('\n'); is_up() && end != std::string::npos; end = in_.find('\n')) {
        const auto line = in_.substr(0, end);
        in_.erase(0, end + 1);
        heard_(line);
    }
    if (is_up() && in_.size() > most_in_line)
        lose("its line has no end");
}

void Link::lose(const std::string& why) {
    if (!is_up())
        return;
    loop_.forget(socket_.get());
    socket_.reset();
    lost_(why);
}

} // namespace ubf::rdma
