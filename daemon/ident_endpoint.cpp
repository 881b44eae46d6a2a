#include "daemon/ident_endpoint.hpp"

#include "base/escape.hpp"
#include "owner/lookup.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <fmt/format.h>
#include <system_error>
#include <utility>

namespace ubf {
namespace {

// ident has as many threads as the peers have gates that ask, within reason.
std::size_t answering_threads(unsigned queues) {
    constexpr unsigned most = 8;
    return std::min(queues, most);
}

} // namespace

IdentEndpoint::IdentEndpoint(NodeOwners& owners, VerdictsInKernel& verdicts, Log& log,
                             Counters& counters)
  : owners_(owners)
  , verdicts_(verdicts)
  , log_(log)
  , counters_(counters) {}

void IdentEndpoint::begin(const Settings& settings, UniqueFd kept, EventLoop& loop) {
    const auto first_asker = static_cast<std::size_t>(ident::Channel::first_asker);
    const unsigned queues = settings.config().queue.count;
    const std::size_t channels = first_asker + queues + 3u;
    open(settings, channels, std::move(kept));
    for (const auto& socket : sockets_) // its own thread reads what comes in there
        loop.watch_errors(socket.fd(), [this, &socket] {
            for (const auto& address : socket.refusals())
                peers_.refused(address, Clock::now());
        });
    const auto& rules = *settings.rules();
    for (std::size_t i = first_asker; i < channels; ++i)
        askers_.push_back(std::make_unique<ident::Asker>(
            sockets_[i], sockets_.back(), static_cast<ident::Channel>(i), rules.terms,
            rules.deadline, peers_, counters_));
    for (std::size_t i = 0; i < answering_threads(queues); ++i)
        services_.push_back(std::make_unique<ident::Service>(
            sockets_[i == 0 ? 0 : channels + i - 1], rules.terms, rules.deadline,
            ident::Service::Shared{peers_, owners_.investigator(), verdicts_.udp_flows(),
                                   verdicts_.sent_flows(), log_, counters_, owners_.tickets()},
            i == 0 ? nullptr : services_.front().get()));
}

// Any user may have taken the port before us, where it isn't privileged.
void IdentEndpoint::open(const Settings& settings, std::size_t channels, UniqueFd kept) {
    const Port port = settings.config().ident.port;
    try {
        sockets_ = ident::Socket::open(
            port, channels, answering_threads(settings.config().queue.count), std::move(kept));
    } catch (const std::system_error& error) {
        const Endpoint here{*Address::parse("127.0.0.1"), port};
        const auto holder = OwnerLookup().receiver({Protocol::udp, here, here}, 0);
        if (error.code().value() != EADDRINUSE || !holder)
            throw;
        const auto owner = owners_.investigator().find_now(*holder, ident::Role::listener,
                                                           Clock::now() + std::chrono::seconds(1));
        const auto process = owner.credentials ? owner.credentials->process : Process{};
        throw std::system_error(
            error.code(),
            fmt::format("binding the ident port, udp {}: {}'s program {}[{}] has it; stop it, or "
                        "set ident.port to another port on every node",
                        port, owners_.users().name(owner.uid), escape(process.comm),
                        value(process.pid)));
    }
    const auto first_of_users = settings.environment().unprivileged_port_start;
    if (port >= first_of_users)
        log_.warning(fmt::format("ident.port {} is one that every user can take before ubfd does, "
                                 "who then keeps it from starting: choose one below "
                                 "net.ipv4.ip_unprivileged_port_start, {}",
                                 port, first_of_users));
}

void IdentEndpoint::set_terms(const Rules& rules) {
    for (const auto& service : services_)
        service->set_terms(rules.terms, rules.deadline);
}

void IdentEndpoint::withdraw(Uid uid) {
    for (const auto& service : services_)
        service->withdraw(uid);
}

void IdentEndpoint::withdraw_all() {
    for (const auto& service : services_)
        service->withdraw_all();
}

void IdentEndpoint::watch(Life& life) const {
    for (const auto& service : services_)
        life.watch(service->heartbeat());
}

// The first last: the others hand questions on to it.
void IdentEndpoint::stop() {
    while (!services_.empty())
        services_.pop_back();
}

} // namespace ubf
