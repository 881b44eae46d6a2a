#include "http.hpp"

#include "base/text.hpp"

#include <array>
#include <cerrno>
#include <cstddef>
#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

namespace ubf::ctl {
namespace {

constexpr std::string_view head_ends = "\r\n\r\n";

std::string_view words_of(HttpCode code) {
    switch (code) {
    case HttpCode::ok:
        return "OK";
    case HttpCode::bad_request:
        return "Bad Request";
    case HttpCode::not_found:
        return "Not Found";
    case HttpCode::method_not_allowed:
        return "Method Not Allowed";
    case HttpCode::unavailable:
        return "Service Unavailable";
    }
    return "Internal Server Error";
}

} // namespace

std::string read_http_request(int fd, std::chrono::milliseconds patience) {
    using Clock = std::chrono::steady_clock;
    constexpr std::size_t most = 8192;
    const auto deadline = Clock::now() + patience;
    std::string request;
    std::array<char, 2048> buffer;
    while (request.size() < most && request.find(head_ends) == std::string::npos) {
        const auto left =
            std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
        pollfd readable{fd, POLLIN, 0};
        if (left <= 0 || (::poll(&readable, 1, static_cast<int>(left)) < 0 && errno != EINTR))
            break;
        if (readable.revents == 0)
            continue;
        const auto length = ::read(fd, buffer.data(), buffer.size());
        if (length <= 0)
            break;
        request.append(buffer.data(), static_cast<std::size_t>(length));
    }
    return request;
}

HttpCode http_code(std::string_view request) {
    if (request.find(head_ends) == std::string_view::npos)
        return HttpCode::bad_request;
    auto line = request.substr(0, request.find("\r\n"));
    const auto method = split(line, ' ');
    const auto target = split(line, ' ');
    if (method.empty() || target.empty() || (line != "HTTP/1.1" && line != "HTTP/1.0"))
        return HttpCode::bad_request;
    if (method != "GET")
        return HttpCode::method_not_allowed;
    return target.substr(0, target.find('?')) == "/metrics" ? HttpCode::ok : HttpCode::not_found;
}

std::string http_answer(HttpCode code, std::string_view body) {
    return fmt::format("HTTP/1.1 {} {}\r\n"
                       "Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n"
                       "Content-Length: {}\r\n"
                       "Connection: close\r\n\r\n{}",
                       static_cast<unsigned>(code), words_of(code), body.size(), body);
}

} // namespace ubf::ctl
