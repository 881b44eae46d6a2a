// A request for metrics, by whoever reaches the socket.
#include "daemon/ubfctl/http.hpp"
#include "fuzzer.hpp"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto request = ubf::fuzz::text(data, size);
    const auto code = ubf::ctl::http_code(request);
    // Nothing is told but to a GET of just that.
    ubf::fuzz::require(code != ubf::ctl::HttpCode::ok || request.starts_with("GET /metrics"));
    ubf::fuzz::require(ubf::ctl::http_answer(code, "").starts_with("HTTP/1.1 "));
    return 0;
}
