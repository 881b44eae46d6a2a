#include "daemon/portals.hpp"

#include "config/portal_people.hpp"
#include "flow/own_address.hpp"

#include <fmt/format.h>
#include <system_error>
#include <utility>

namespace ubf {
namespace {

PortalDesk::Terms terms_of(const Config& config, const std::shared_ptr<const Rules>& rules,
                           Scope scope) {
    return {rules, config.portal, std::move(scope), portal_targets(config)};
}

PortalDesk::Ways ways_of(const Portals::Parts& parts) {
    auto& owners = parts.owners;
    auto& main = parts.main;
    return {[&owners](const auto& whom) { return owners.users().known(whom); },
            [&owners](auto whom, auto done) {
                return owners.users().ask(std::move(whom), std::move(done));
            },
            [&owners](const UserCache::User& user, Uid via, const Process& program) {
                return owners.investigator().of_portal(user.uid, via, program, user.record);
            },
            [](const Address& target) { return source_to(target); },
            [&main](auto task) { main.post(std::move(task)); }};
}

} // namespace

Portals::Portals(Parts parts, const Config& config, const std::shared_ptr<const Rules>& rules,
                 Scope scope)
  : parts_(parts)
  , desk_({parts.asker, parts.peers, parts.owners.sockets(), parts.owners.investigator(),
           parts.owners.tickets(), parts.counters.portal, parts.log},
          ways_of(parts), terms_of(config, rules, std::move(scope))) {
    auto& asker = parts.asker;
    parts_.main.loop().watch(asker.fd(), [&asker] { asker.receive(Clock::now()); });
    if (config.portal.enabled())
        open(config);
}

Portals::~Portals() {
    close();
}

void Portals::set(const Config& config, const std::shared_ptr<const Rules>& rules, Scope scope) {
    desk_.set_terms(terms_of(config, rules, std::move(scope)));
    const auto fabric_policy = config.fabric_policy();
    parts_.owners.tickets().keep_those_of(
        [&](Uid user) { return may_speak_for(user, config.portal, config.policy, fabric_policy); });
    if (!config.portal.enabled())
        close();
    else if (!server_)
        open(config);
}

std::optional<TimePoint> Portals::next() const {
    const auto due = desk_.next();
    return due && quiet_until_ ? std::min(*due, *quiet_until_) : due ? due : quiet_until_;
}

void Portals::on_time(TimePoint now) {
    desk_.on_time(now);
    listen_again(now);
    if (kept_)
        kept_->look(now);
}

// Without the socket, portals reach nobody; all else goes on.
void Portals::open(const Config& config) {
    auto& loop = parts_.main.loop();
    // Without notices, sockets that are gone give way when others need their room.
    if (!notices_.begun() && notices_.begin() == 0)
        loop.watch(notices_.fd(), [this] { notice_destroyed(); });
    try {
        kept_.emplace(config.labels.state_directory / "portal", parts_.owners.tickets());
        server_ = std::make_unique<ControlServer>(
            loop, config.control.socket.parent_path() / "portal.sock", ControlServer::For::portal,
            [this](const auto& request, Uid, auto reply) { desk_.answer(request, reply); });
    } catch (const std::system_error& error) {
        parts_.log.error(
            fmt::format("web portals get no answer and reach nobody: {}", error.what()));
    }
}

void Portals::close() {
    server_.reset();
    kept_.reset();
    if (!notices_.begun())
        return;
    parts_.main.loop().forget(notices_.fd());
    quiet_until_.reset();
    notices_.end();
}

// A cookie is never reused, so a notice can wait. Otherwise the end of each connection of this node
// would wake this thread.
void Portals::notice_destroyed() {
    constexpr std::chrono::milliseconds quiet{100};
    do {
        gone_.clear();
        if (!notices_.receive(gone_))
            parts_.counters.flows.notices_lost.add();
        parts_.owners.tickets().forget(gone_);
    } while (gone_.size() >= DestroyNotices::most_at_a_time);
    parts_.main.loop().pause(notices_.fd());
    quiet_until_ = Clock::now() + quiet;
}

void Portals::listen_again(TimePoint now) {
    if (!quiet_until_ || now < *quiet_until_)
        return;
    quiet_until_.reset();
    parts_.main.loop().resume(notices_.fd());
}

} // namespace ubf
