// As much of HTTP/1.1 (RFC 9112) as a scrape by Prometheus takes: one GET of /metrics.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

namespace ubf::ctl {

enum class HttpCode : unsigned {
    ok = 200,
    bad_request = 400,
    not_found = 404,
    method_not_allowed = 405,
    unavailable = 503,
};

// The head of a request, up to its empty line. Shorter if that did not come in time, or in 8 KiB.
std::string read_http_request(int fd, std::chrono::milliseconds patience);

// No I/O; the bytes are a stranger's.
HttpCode http_code(std::string_view request);
std::string http_answer(HttpCode code, std::string_view body);

} // namespace ubf::ctl
