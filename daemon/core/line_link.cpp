#include "daemon/core/line_link.hpp"

#include "base/unix_address.hpp"

#include <array>
#include <cerrno>
#include <cstring>
#include <sys/socket.h>
#include <utility>

namespace ubf {

LineLink::LineLink(EventLoop& loop, std::filesystem::path path,
                   std::function<void(const std::string&)> heard,
                   std::function<void(const std::string&)> lost)
  : loop_(loop)
  , path_(std::move(path))
  , heard_(std::move(heard))
  , lost_(std::move(lost)) {}

std::string LineLink::connect() {
    const auto address = unix_address(path_.native());
    if (!address)
        return "the path is too long";
    UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd ||
        ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof *address) < 0)
        return std::strerror(errno);
    in_ = {};
    out_.clear();
    stuck_ = false;
    socket_ = std::move(fd);
    loop_.watch(socket_.get(), [this] { read(); });
    return {};
}

void LineLink::send(const std::string& line) {
    if (!is_up())
        return;
    out_ += line;
    if (!stuck_)
        write();
}

void LineLink::write() {
    while (!out_.empty()) {
        const auto length =
            ::send(socket_.get(), out_.data(), out_.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (length < 0 && errno == EINTR)
            continue;
        if (length < 0 && errno == EAGAIN) {
            if (!std::exchange(stuck_, true))
                loop_.watch(
                    socket_.get(), [this] { read(); }, [this] { write(); });
            return;
        }
        if (length < 0)
            return lose(std::strerror(errno));
        out_.erase(0, static_cast<std::size_t>(length));
    }
    if (std::exchange(stuck_, false))
        loop_.watch(socket_.get(), [this] { read(); });
}

void LineLink::read() {
    std::array<char, 65536> buffer;
    const auto length = ::recv(socket_.get(), buffer.data(), buffer.size(), 0);
    if (length < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (length <= 0)
        return lose(length == 0 ? "it has closed the connection" : std::strerror(errno));
    in_.add({buffer.data(), static_cast<std::size_t>(length)});
    while (is_up() && in_.has_one())
        heard_(*in_.take());
    if (is_up() && in_.size() > most_in_line)
        lose("its line has no end");
}

void LineLink::lose(const std::string& why) {
    if (!is_up())
        return;
    loop_.forget(socket_.get());
    socket_.reset();
    lost_(why);
}

} // namespace ubf
