#include "daemon/connect/broker.hpp"

#include "flow/socket_address.hpp"

#include <algorithm>
#include <cerrno>
#include <fmt/format.h>
#include <stdexcept>
#include <sys/socket.h>
#include <system_error>
#include <unistd.h>
#include <utility>
#include <vector>

namespace ubf::connect {
namespace {

constexpr std::chrono::seconds most_connecting{10};

// The person's before its first packet: ubfd goes by the owner that the kernel has for the socket.
UniqueFd connection_of(Uid user, const Endpoint& target) {
    const auto to = to_socket_address(target);
    UniqueFd fd(::socket(to.family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd || ::fchown(fd.get(), value(user), static_cast<gid_t>(-1)) < 0)
        return UniqueFd();
    const int on = 1;
    ::setsockopt(fd.get(), SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    if (::connect(fd.get(), to.get(), to.length) < 0 && errno != EINPROGRESS)
        return UniqueFd();
    return fd;
}

// Portals need no more than a name in it. Others do not learn by a guess whether it is there: it
// says which program a person has.
void make_folder(const std::filesystem::path& folder, std::optional<Gid> group) {
    std::filesystem::create_directory(folder);
    if (group && ::chown(folder.c_str(), static_cast<uid_t>(-1), value(*group)) < 0)
        throw std::system_error(errno, std::generic_category(),
                                fmt::format("can't give {} to portal.group", folder.native()));
    std::filesystem::permissions(folder, std::filesystem::perms{0710});
}

} // namespace

Broker::Broker(EventLoop& loop, std::filesystem::path folder, Settings settings)
  : loop_(loop)
  , folder_(std::move(folder))
  , settings_(std::move(settings)) {
    adopt();
}

void Broker::adopt() {
    namespace fs = std::filesystem;
    std::vector<Place> places;
    std::error_code none;
    for (const auto& user : fs::directory_iterator(folder_, none)) {
        if (!user.is_directory(none))
            continue;
        for (const auto& file : fs::directory_iterator(user.path(), none))
            if (const auto place =
                    place_of(user.path().filename().native(), file.path().filename().native()))
                places.push_back(*place);
    }
    for (const auto& place : places)
        if (settings_.is_person(place.user) && settings_.is_target(place.target) &&
            doors_.size() < most_places)
            add(place);
        else
            fs::remove(folder_ / path_of(place), none);
}

void Broker::change(Settings settings) {
    settings_ = std::move(settings);
    std::vector<Place> gone;
    for (const auto& [place, door] : doors_)
        if (!settings_.is_person(place.user) || !settings_.is_target(place.target))
            gone.push_back(place);
    for (const auto& place : gone)
        remove(place);
}

std::string Broker::open(const Place& place) {
    const auto known = doors_.find(place);
    if (known == doors_.end() || !known->second.listener->is_in_place()) {
        if (known != doors_.end())
            remove(place);
        else if (doors_.size() >= most_places)
            remove(std::ranges::min_element(doors_, {}, [](const auto& entry) {
                       return entry.second.used;
                   })->first);
        add(place);
    }
    doors_.at(place).used = Clock::now();
    return folder_ / path_of(place);
}

void Broker::add(const Place& place) {
    const auto path = folder_ / path_of(place);
    make_folder(path.parent_path(), settings_.portal.group);
    Door door{std::make_unique<portal::Listener>(path, settings_.portal.group), Clock::now()};
    door.listener->leave_file();
    loop_.watch(door.listener->fd(), [this, place] { accept(place); });
    doors_.emplace(place, std::move(door));
}

void Broker::remove(const Place& place) {
    const auto found = doors_.find(place);
    loop_.forget(found->second.listener->fd());
    doors_.erase(found);
    std::error_code none;
    const auto path = folder_ / path_of(place);
    std::filesystem::remove(path, none);
    std::filesystem::remove(path.parent_path(), none); // if it is empty
}

void Broker::accept(const Place& place) {
    const auto found = doors_.find(place);
    if (found == doors_.end())
        return;
    auto arrival = found->second.listener->accept();
    if (!arrival)
        return;
    found->second.used = Clock::now();
    if (!settings_.is_portal(arrival->peer.uid) || !begin(place, std::move(arrival->socket)))
        ++refused_;
}

bool Broker::begin(const Place& place, UniqueFd portal) {
    auto& number = numbers_[place.user];
    if (passages_.size() >= most_relays || number >= most_of_one)
        return false;
    auto program = connection_of(place.user, place.target);
    if (!program)
        return false;
    ++number;
    ++begun_;
    passages_.push_back({place.user, Clock::now(),
                         std::make_unique<Relay>(loop_, std::move(portal), std::move(program),
                                                 [this] { any_over_ = true; })});
    return true;
}

void Broker::go_on(TimePoint now) {
    if (!std::exchange(any_over_, false) && now < next_look_)
        return;
    next_look_ = now + std::chrono::seconds(1);
    std::erase_if(passages_, [&](const Passage& passage) {
        const bool over = passage.relay->is_over() || (passage.relay->is_connecting() &&
                                                       now - passage.begun >= most_connecting);
        if (over && --numbers_[passage.user] == 0)
            numbers_.erase(passage.user);
        return over;
    });
}

std::string Broker::summary() const {
    return fmt::format("{} sockets; {} connections, {} since the start, {} not begun",
                       doors_.size(), passages_.size(), begun_, refused_);
}

} // namespace ubf::connect
