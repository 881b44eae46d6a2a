#include "daemon/ubfctl/listening.hpp"

#include "base/text.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <netinet/tcp.h>
#include <optional>
#include <string>
#include <system_error>
#include <utility>

namespace ubf::ctl {
namespace {

constexpr unsigned udp_unconnected = 7; // TCP_CLOSE, as net/ipv4/udp.c shows it

std::string_view word(std::string_view& line) {
    line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
    return split(line, ' ');
}

// "0100007F:1F90": words of four bytes in the order of the machine, then the port.
std::optional<Endpoint> endpoint(std::string_view text) {
    const auto address = split(text, ':');
    const auto port = number<std::uint16_t>(text, 16);
    if (!port || (address.size() != 8 && address.size() != 32))
        return std::nullopt;
    std::array<std::uint8_t, 16> bytes{};
    for (std::size_t at = 0; at < address.size(); at += 8) {
        const auto part = number<std::uint32_t>(address.substr(at, 8), 16);
        if (!part)
            return std::nullopt;
        std::memcpy(bytes.data() + at / 2, &*part, sizeof *part);
    }
    const std::span<const std::uint8_t, 16> all(bytes);
    return Endpoint{address.size() == 8 ? Address::v4(all.first<4>()) : Address::v6(all), *port};
}

struct Line {
    Endpoint local;
    Endpoint remote;
    unsigned state;
    Uid uid;
    std::uint32_t inode;
};

// sl local remote st tx:rx tr:when retrnsmt uid timeout inode ...
std::optional<Line> parse(std::string_view line) {
    word(line);
    const auto local = endpoint(word(line));
    const auto remote = endpoint(word(line));
    const auto state = number<unsigned>(word(line), 16);
    for (int i = 0; i < 3; ++i)
        word(line);
    const auto uid = number<std::uint32_t>(word(line));
    word(line);
    const auto inode = number<std::uint32_t>(word(line));
    if (!local || !remote || !state || !uid || !inode)
        return std::nullopt;
    return Line{*local, *remote, *state, Uid{*uid}, *inode};
}

bool is_open(unsigned state) {
    return state != TCP_LISTEN && state != TCP_SYN_SENT && state != TCP_TIME_WAIT &&
           state != TCP_CLOSE;
}

bool is_wildcard(const Address& address) {
    return address == Address() || (address.is_v4() && to_string(address) == "0.0.0.0");
}

std::string read(const char* file) {
    errno = 0;
    std::ifstream in(file);
    if (!in)
        throw std::system_error(errno, std::generic_category(), file);
    return {std::istreambuf_iterator<char>(in), {}};
}

} // namespace

bool Listening::is_everywhere() const {
    return is_wildcard(place.address);
}

std::vector<Listening> listening_in(const std::vector<SocketTable>& tables) {
    std::vector<Listening> found;
    std::map<Endpoint, std::size_t> connections; // by their end on this node
    for (auto [protocol, text] : tables) {
        split(text, '\n'); // the headings
        while (!text.empty()) {
            const auto line = parse(split(text, '\n'));
            if (!line)
                continue;
            const bool tcp = protocol == Protocol::tcp;
            if (tcp && is_open(line->state))
                ++connections[line->local];
            const bool listens = tcp ? line->state == TCP_LISTEN
                                     : line->state == udp_unconnected && line->remote.port == 0;
            if (listens)
                found.push_back({protocol, line->local, line->uid, line->inode});
        }
    }
    std::map<Port, std::size_t> by_port;
    for (const auto& [local, count] : connections)
        by_port[local.port] += count;
    for (auto& one : found)
        if (one.protocol == Protocol::tcp) {
            const auto exact = connections.find(one.place);
            one.flows = one.is_everywhere() ? by_port[one.place.port]
                                            : (exact == connections.end() ? 0 : exact->second);
        }
    std::ranges::sort(found, {},
                      [](const Listening& one) { return std::pair(one.protocol, one.place); });
    return found;
}

std::vector<Listening> listening() {
    const auto tcp = read("/proc/thread-self/net/tcp");
    const auto udp = read("/proc/thread-self/net/udp");
    std::vector<SocketTable> tables{{Protocol::tcp, tcp}, {Protocol::udp, udp}};
    std::string tcp6;
    std::string udp6;
    try { // a kernel without IPv6 has no such files
        tcp6 = read("/proc/thread-self/net/tcp6");
        udp6 = read("/proc/thread-self/net/udp6");
    } catch (const std::system_error&) {
    }
    tables.push_back({Protocol::tcp, tcp6});
    tables.push_back({Protocol::udp, udp6});
    return listening_in(tables);
}

} // namespace ubf::ctl
