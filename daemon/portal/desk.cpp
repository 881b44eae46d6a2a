#include "daemon/portal/desk.hpp"

#include "flow/own_address.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <utility>

namespace ubf::portal {
namespace {

constexpr std::chrono::seconds fresh{30}; // the addresses of a name
constexpr std::chrono::seconds fresh_none{5};

Refusal unavailable() {
    return {"unavailable", "The firewall does not answer on the portal's machine.", 503};
}

} // namespace

Desk::Desk(EventLoop& loop, Mailbox& mailbox, std::filesystem::path socket, Terms terms,
           Answered answered)
  : terms_(std::move(terms))
  , answered_(std::move(answered))
  , link_(
        loop, std::move(socket), [this](const std::string& line) { heard(line); },
        [this](const std::string& why) { lost(why); })
  , resolver_(mailbox) {}

void Desk::ask(Id id, const Question& question, Peer asker) {
    ++tally_.asked;
    auto& theirs = cases_of_[question.user];
    if (theirs >= most_of_one) {
        ++tally_.refused;
        return answered_(id,
                         fail(Refusal{"busy", "Too many of this person's questions wait.", 503}));
    }
    ++theirs;
    cases_.emplace(id, Case{question, asker, Clock::now() + deadline});
    if (const auto* forward = std::get_if<Forward>(&question.target))
        read(id, *forward);
    else if (const auto* host = std::get_if<Host>(&question.target))
        go_to(id, *host);
    else
        go_to(id, std::get<Endpoint>(question.target));
}

void Desk::go_to(Id id, const Place& place) {
    if (const auto* host = std::get_if<Host>(&place))
        look_up(id, *host);
    else
        ask_ubfd(id, std::get<Endpoint>(place));
}

void Desk::begin(Id id, Resolver::Task task) {
    if (!resolver_.begin(cases_.at(id).question.user, std::move(task)))
        close(id, fail(Refusal{"busy", "Too many names are being looked up.", 503}));
}

void Desk::read(Id id, const Forward& forward) {
    if (terms_.forward.empty())
        return close(id, fail(malformed("The target has no port from 1 to 65535 behind a colon.")));
    begin(id, [this, id, name = forward.name, directory = terms_.forward]() -> Mailbox::Task {
        return [this, id, place = read_forward(directory, name)] {
            if (!cases_.contains(id))
                return;
            if (place)
                go_to(id, *place);
            else
                close(id, fail(place.error()));
        };
    });
}

void Desk::look_up(Id id, const Host& host) {
    if (!is_in(host.name, terms_.domains))
        return close(id, fail(not_a_target("The target's name is in none of portal.domains.")));
    if (const auto* known = names_.find(host.name, Clock::now()))
        return found(id, host, *known);
    begin(id, [this, id, host]() -> Mailbox::Task {
        return [this, id, host, addresses = addresses_of(host.name)] {
            names_.put(host.name, addresses, Clock::now(), addresses.empty() ? fresh_none : fresh);
            if (cases_.contains(id))
                found(id, host, addresses);
        };
    });
}

// A name that leads outside as well is somebody's trick, or a mistake.
void Desk::found(Id id, const Host& host, std::vector<Address> addresses) {
    if (addresses.empty())
        return close(id, fail(not_a_target("The target's name has no address.")));
    if (!std::ranges::all_of(
            addresses, [this](const Address& address) { return terms_.targets.has(address); }))
        return close(id, fail(not_a_target("The target's name has an address out of reach.")));
    ask_ubfd(id, {addresses.front(), host.port});
}

std::optional<Endpoint> Desk::source_to(const Endpoint& target) {
    const auto address = ubf::source_to(target.address);
    if (!address)
        return std::nullopt;
    next_source_ = (next_source_ + 1) % terms_.source_ports.size();
    return Endpoint{*address, terms_.source_ports[next_source_]};
}

void Desk::ask_ubfd(Id id, const Endpoint& target) {
    const auto& one = cases_.at(id);
    if (!link_.is_up() && !connect())
        return close(id, fail(unavailable()));
    Asked asked{id, one.question.user, one.asker.uid, one.asker.pid, target, {}};
    if (one.question.wants_source && !terms_.source_ports.empty())
        asked.source = source_to(target);
    link_.send(to_line(asked));
}

bool Desk::connect() {
    const auto mistake = link_.connect();
    if (!mistake.empty()) {
        lost(mistake);
        return false;
    }
    if (std::exchange(away_, false))
        log_.info("ubfd can be asked again");
    return true;
}

void Desk::heard(const std::string& line) {
    const auto reply = parse_reply(line);
    if (!reply)
        return link_.lose("its reply is malformed");
    close(reply->id, reply->answer);
}

void Desk::lost(const std::string& why) {
    if (!std::exchange(away_, true))
        log_.warning(
            fmt::format("ubfd can't be asked: {}; until it can, every portal gets 503; see "
                        "'systemctl status ubfd'",
                        why));
    while (!cases_.empty())
        close(cases_.begin()->first, fail(unavailable()));
}

void Desk::close(Id id, const Result<Grant, Refusal>& answer) {
    const auto one = cases_.extract(id);
    if (!one)
        return; // too late
    const auto theirs = cases_of_.find(one.mapped().question.user);
    if (--theirs->second == 0)
        cases_of_.erase(theirs);
    ++(answer ? tally_.allowed : tally_.refused);
    answered_(id, answer);
}

TimePoint Desk::go_on(TimePoint now) {
    while (!cases_.empty() && cases_.begin()->second.until <= now) {
        ++tally_.unanswered;
        close(cases_.begin()->first,
              fail(Refusal{"no-answer", "The target's name or the firewall took too long.", 504}));
    }
    return cases_.empty() ? now + std::chrono::seconds(1) : cases_.begin()->second.until;
}

} // namespace ubf::portal
