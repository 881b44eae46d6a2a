// storm: the two ends of a measurement.
//
//   - storm serve tcp|udp PORT [close|keep|echo|drain]
//                                    treats connections like this, and echoes datagrams
//   - storm connect tcp|udp ADDRESS PORT COUNT CONCURRENCY
//                                    COUNT new flows, CONCURRENCY at a time
//   - storm ping tcp|udp ADDRESS PORT COUNT
//                                    round trips of one byte in one flow
//   - storm pour ADDRESS PORT MILLISECONDS      as much as one TCP connection takes
//   - storm stream ADDRESS PORT MILLISECONDS    as many datagrams as one socket can send ...
//   - storm sink PORT                           ... and the number of them that arrive
//   - storm hold ADDRESS PORT COUNT             COUNT connections, established and idle
//   - storm flood ADDRESS PORT MILLISECONDS     UDP from many ports, as fast as possible
//
// `serve`, `sink` and `hold` print "ready" when they are. `serve` and `hold` run until they are
// killed. Commands that measure print one JSON line.
#include "base/text.hpp"
#include "established.hpp"
#include "load.hpp"
#include "new_flows.hpp"
#include "server.hpp"

#include <fmt/format.h>
#include <iostream>
#include <span>
#include <stdexcept>
#include <string>
#include <sys/resource.h>
#include <vector>

namespace {

using namespace ubf::bench;

template<typename T>
T number(std::string_view text) {
    if (const auto result = ubf::number<T>(text))
        return *result;
    throw std::invalid_argument(fmt::format("'{}' is not a number that fits here", text));
}

SocketAddress place(const std::string& address, std::string_view port) {
    return socket_address(address, number<std::uint16_t>(port));
}

std::chrono::milliseconds duration(std::string_view text) {
    return std::chrono::milliseconds(number<unsigned>(text));
}

void raise_descriptor_limit() {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) < 0)
        fail("getrlimit");
    limit.rlim_cur = limit.rlim_max;
    if (::setrlimit(RLIMIT_NOFILE, &limit) < 0)
        fail("setrlimit");
}

void connect(int type, const SocketAddress& to, std::size_t count, std::size_t concurrency) {
    NewFlows flows(type, to, count, concurrency);
    flows.run();
    flows.print();
}

void run(std::string_view what, std::span<const std::string> words) {
    const auto is = [&](std::string_view name, std::size_t count) {
        return what == name && words.size() == count;
    };
    if (is("serve", 2) && socket_type(words[0]) == SOCK_DGRAM)
        serve_udp(number<std::uint16_t>(words[1]));
    else if (is("serve", 2) || is("serve", 3))
        serve_tcp(number<std::uint16_t>(words[1]),
                  words.size() == 3 ? parse_then(words[2]) : Then::close);
    else if (is("connect", 5))
        connect(socket_type(words[0]), place(words[1], words[2]), number<std::size_t>(words[3]),
                number<std::size_t>(words[4]));
    else if (is("ping", 4))
        ping(socket_type(words[0]), place(words[1], words[2]), number<std::size_t>(words[3]));
    else if (is("pour", 3))
        pour(place(words[0], words[1]), duration(words[2]));
    else if (is("stream", 3))
        stream(place(words[0], words[1]), duration(words[2]));
    else if (is("sink", 1))
        sink(number<std::uint16_t>(words[0]));
    else if (is("hold", 3))
        hold(place(words[0], words[1]), number<std::size_t>(words[2]));
    else if (is("flood", 3))
        flood(place(words[0], words[1]), duration(words[2]));
    else
        throw std::invalid_argument("what to do? See the beginning of main.cpp");
}

} // namespace

int main(int argc, char** argv) {
    try {
        const std::vector<std::string> words(argv + 1, argv + argc);
        raise_descriptor_limit();
        run(words.empty() ? "" : words[0], std::span(words).subspan(words.empty() ? 0 : 1));
        return 0;
    } catch (const std::exception& error) {
        std::cerr << "storm: " << error.what() << '\n';
        return 1;
    }
}
