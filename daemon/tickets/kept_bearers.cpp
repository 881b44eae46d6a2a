#include "daemon/tickets/kept_bearers.hpp"

#include "base/boot_id.hpp"
#include "base/escape.hpp"
#include "base/read_all.hpp"
#include "base/replace_file.hpp"
#include "base/text.hpp"
#include "netlink/tcp_connections.hpp"

#include <fmt/format.h>
#include <iterator>
#include <memory>
#include <unordered_set>
#include <utility>

namespace ubf {
namespace {

// Those that have connections. None if the kernel does not list them.
std::unordered_set<Cookie> sockets_of_portals(const Tickets& tickets) {
    std::unordered_set<Cookie> sockets;
    const int error = TcpConnections().each([&](const TcpConnection& connection) {
        if (tickets.is_portal(connection.socket.uid))
            sockets.insert(connection.socket.cookie);
    });
    return error == 0 ? sockets : std::unordered_set<Cookie>();
}

} // namespace

std::string to_text(const std::vector<TicketBook::Speaking>& sockets, std::string_view boot) {
    auto text = fmt::format("{}\n", boot);
    for (const auto& [socket, flow, bearer] : sockets) {
        const auto process = bearer.program ? *bearer.program : Process{};
        fmt::format_to(std::back_inserter(text), "{} {} {} {} {} {}\n", value(socket),
                       value(bearer.user), to_string(flow.source), to_string(flow.destination),
                       value(process.pid), escape(process.comm));
    }
    return text;
}

std::vector<TicketBook::Speaking> parse_speaking(std::string_view text, std::string_view boot) {
    std::vector<TicketBook::Speaking> sockets;
    if (boot.empty() || split(text, '\n') != boot)
        return sockets;
    while (!text.empty() && sockets.size() < TicketBook::most_bound) {
        auto line = split(text, '\n');
        const auto cookie = number<std::uint64_t>(split(line, ' '));
        const auto user = number<std::uint32_t>(split(line, ' '));
        const auto source = Endpoint::parse(split(line, ' '));
        const auto destination = Endpoint::parse(split(line, ' '));
        const auto pid = number<std::int32_t>(split(line, ' '));
        if (!cookie || !user || *user == 0 || !source || !destination || !pid || *pid < 0)
            break;
        auto program = std::make_shared<const Process>(Process{Pid{*pid}, std::string(line), 0});
        sockets.push_back({Cookie{*cookie},
                           {Protocol::tcp, *source, *destination},
                           {Uid{*user}, std::move(program)}});
    }
    return sockets;
}

KeptBearers::KeptBearers(std::filesystem::path file, Tickets& tickets)
  : file_(std::move(file))
  , boot_(read_boot_id())
  , tickets_(tickets) {
    load();
}

void KeptBearers::load() {
    constexpr std::size_t most = std::size_t{16} << 20;
    auto sockets = parse_speaking(read_all(file_, most).value_or(std::string()), boot_);
    if (sockets.empty())
        return;
    const auto there = sockets_of_portals(tickets_);
    std::erase_if(sockets, [&](const auto& known) { return !there.contains(known.socket); });
    tickets_.restore(sockets);
}

void KeptBearers::look(TimePoint now) {
    if (now < next_)
        return;
    next_ = now + pause;
    save();
}

// If it can't be written, a restart forgets; a warning about the folder says so.
void KeptBearers::save() {
    const auto changes = tickets_.changes();
    if (changes == saved_)
        return;
    saved_ = changes;
    std::error_code ignored;
    std::filesystem::create_directories(file_.parent_path(), ignored);
    static_cast<void>(replace_file(file_, to_text(tickets_.speaking(), boot_), Durable::no));
}

} // namespace ubf
