#include "daemon/portal/service.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <stdexcept>
#include <utility>

namespace ubf::portal {

Service::Service(EventLoop& loop, const std::filesystem::path& file)
  : Service(loop, file, settings_of(LoggedLoading::load(file))) {}

Service::Service(EventLoop& loop, const std::filesystem::path& file, const Settings& settings)
  : socket_(settings.socket)
  , listener_(settings.socket, settings.group)
  , server_(loop, listener_,
            [this](HttpServer::Id id, const Question& question, Peer asker) {
                desk_.ask(id, question, asker);
            })
  , desk_(loop, mailbox_, settings.ubfd, settings.terms,
          [this](Desk::Id id, const Result<Grant, Refusal>& answer) { server_.answer(id, answer); })
  , loading_(loop, file, log_, [this](const auto& config) { take(settings_of(config)); }) {
    loop.watch(mailbox_.fd(), [this] { mailbox_.run(); });
    if (!settings.enabled)
        log_.warning("portal.users is empty, so no portal may ask; name the users that portals run "
                     "as, and reload ubfd and ubf-portal");
    log_.info(fmt::format("ready: portals ask at {}", socket_.native()));
}

void Service::take(Settings settings) {
    if (settings.socket != socket_)
        log_.warning("portal.socket takes effect at a restart");
    desk_.change(std::move(settings.terms));
}

TimePoint Service::go_on(TimePoint now) {
    if (now >= next_look_) {
        if (!listener_.is_in_place())
            throw std::runtime_error(fmt::format("the file of portal.socket, {}, was removed or "
                                                 "changed; a restart makes it anew",
                                                 socket_.native()));
        next_look_ = now + std::chrono::seconds(1);
    }
    const auto due = desk_.go_on(now); // before the server, which sends the answers
    return std::min({due, server_.go_on(now), next_look_});
}

std::string Service::summary() const {
    const auto& tally = desk_.tally();
    return fmt::format("{} connections; {} asked, {} allowed, {} refused, {} of these unanswered; "
                       "ubfd {}",
                       server_.clients(), tally.asked, tally.allowed, tally.refused,
                       tally.unanswered, desk_.is_up() ? "is asked" : "was not asked lately");
}

} // namespace ubf::portal
