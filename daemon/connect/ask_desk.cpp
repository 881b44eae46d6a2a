#include "daemon/connect/ask_desk.hpp"

#include "base/json.hpp"
#include "owner/user_database.hpp"
#include "portal/question.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <exception>
#include <sys/socket.h>
#include <utility>

namespace ubf::connect {
namespace {

std::string error(const std::string& text) {
    return to_line({{"error", text}});
}

} // namespace

AskDesk::AskDesk(EventLoop& loop, Mailbox& mailbox, Broker& broker,
                 const std::filesystem::path& socket)
  : loop_(loop)
  , broker_(broker)
  , listener_(socket, broker.settings().portal.group)
  , resolver_(mailbox) {
    loop_.watch(listener_.fd(), [this] { accept(); });
}

void AskDesk::accept() {
    auto arrival = listener_.accept();
    if (!arrival || !broker_.settings().is_portal(arrival->peer.uid) ||
        !make_room(arrival->peer.uid))
        return;
    const auto id = ++last_;
    const int fd = arrival->socket.get();
    clients_.add(fd, arrival->peer, Clock::now());
    askers_.emplace(id, Asker{std::move(arrival->socket)});
    loop_.watch(fd, [this, id] { read(id); });
}

bool AskDesk::make_room(Uid newcomer) {
    const auto room = clients_.make_room(newcomer, Clock::now());
    if (room.evicted)
        close(std::ranges::find_if(askers_, [&](const auto& entry) {
                  return entry.second.socket.get() == *room.evicted;
              })->first);
    return room.there;
}

void AskDesk::read(std::uint64_t id) {
    auto& asker = askers_.at(id);
    std::array<char, most_in_line> buffer;
    const auto length = ::recv(asker.socket.get(), buffer.data(), buffer.size(), 0);
    if (length < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (length <= 0)
        return close(id);
    asker.lines.add({buffer.data(), static_cast<std::size_t>(length)});
    if (asker.lines.size() > 2 * most_in_line)
        return close(id);
    take_lines(id);
}

void AskDesk::take_lines(std::uint64_t id) {
    while (askers_.contains(id)) {
        auto& asker = askers_.at(id);
        const auto line = asker.waits ? std::nullopt : asker.lines.take();
        if (!line)
            return;
        asker.waits = true;
        clients_.begin(asker.socket.get());
        if (const auto text = answer(id, *line); !text.empty())
            send(id, text);
    }
}

std::string AskDesk::answer(std::uint64_t id, const std::string& line) {
    const auto request = nlohmann::ordered_json::parse(line, nullptr, false);
    if (!request.is_object() || line.size() > most_in_line)
        return error("the question is not one JSON object in a line of 1,024 bytes");
    const auto user = text_of(request, "user");
    if (!portal::is_user(user))
        return error("the question's user is no user's name");
    const auto place = portal::parse_place(text_of(request, "target"));
    if (!place)
        return error(place.error().explain);
    const auto* host = std::get_if<portal::Host>(&*place);
    if (host != nullptr && !portal::is_in(host->name, broker_.settings().portal.domains))
        return error("the target's name is in none of portal.domains");
    return look_up(id, user, *place);
}

std::string AskDesk::look_up(std::uint64_t id, const std::string& user,
                             const portal::Place& place) {
    const bool begun = resolver_.begin(user, [this, id, user, place]() -> Mailbox::Task {
        Found found{look_up_uid(user), {}};
        Port port = 0;
        if (const auto* host = std::get_if<portal::Host>(&place)) {
            found.addresses = portal::addresses_of(host->name);
            port = host->port;
        } else {
            const auto& endpoint = std::get<Endpoint>(place);
            found.addresses = {endpoint.address};
            port = endpoint.port;
        }
        return [this, id, found = std::move(found), port] {
            if (!askers_.contains(id))
                return;
            send(id, open(found, port));
            take_lines(id);
        };
    });
    return begun ? std::string() : error("too many names are being looked up");
}

std::string AskDesk::open(const Found& found, Port port) {
    const auto& settings = broker_.settings();
    if (!found.user)
        return error("the user database knows no such user");
    if (!settings.is_person(*found.user))
        return error("portal.for does not have this user, or they are exempt, or a portal");
    if (found.addresses.empty())
        return error("the target's name has no address");
    if (!std::ranges::all_of(found.addresses, [&](const Address& address) {
            return settings.is_target({address, port});
        }))
        return error(
            "the target is out of reach: see portal.targets, peers.ranges, and ports from 1024");
    try {
        return to_line({{"path", broker_.open({*found.user, {found.addresses.front(), port}})}});
    } catch (const std::exception& trouble) {
        return error(trouble.what());
    }
}

// An asker that does not read its answers is closed.
void AskDesk::send(std::uint64_t id, const std::string& text) {
    auto& asker = askers_.at(id);
    asker.waits = false;
    clients_.end(asker.socket.get(), Clock::now());
    if (::send(asker.socket.get(), text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT) !=
        static_cast<ssize_t>(text.size()))
        close(id);
}

void AskDesk::close(std::uint64_t id) {
    const auto found = askers_.find(id);
    loop_.forget(found->second.socket.get());
    clients_.remove(found->second.socket.get());
    askers_.erase(found);
}

} // namespace ubf::connect
