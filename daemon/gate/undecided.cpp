#include "daemon/gate/undecided.hpp"

#include "flow/own_address.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <fmt/format.h>
#include <net/if.h>

namespace ubf {
namespace {

// A handshake that was on its way is over by the second look; a SYN cookie is good for two minutes
// (MAX_SYNCOOKIE_AGE, include/net/tcp.h).
constexpr std::chrono::seconds second_look{1};
constexpr std::chrono::seconds between_looks{10};
constexpr std::chrono::seconds for_so_long{130};

// A worker finds so many in its memory while a packet waits.
constexpr std::size_t most_in_a_part = 512;

} // namespace

Undecided::Undecided(const Workers& workers, Scope scope, FlowCounters& counters, Log& log)
  : workers_(workers)
  , scope_(std::move(scope))
  , counters_(counters)
  , log_(log)
  , loopback_(::if_nametoindex("lo")) {}

void Undecided::pass_over_present() {
    std::unordered_set<Cookie> present;
    const int error = connections_.each(
        [&](const TcpConnection& connection) { present.insert(connection.socket.cookie); });
    if (error != 0)
        log_.warning(
            fmt::format("the kernel did not list the connections that are older than ubfd: "
                        "{}; if somebody flushes the ruleset, ubfd judges them as if they "
                        "began then",
                        std::strerror(error)));
    present_ = std::move(present);
}

void Undecided::set_scope(Scope scope, bool whole) {
    if (whole)
        pass_over_unwatched();
    scope_ = std::move(scope);
}

void Undecided::pass_over_unwatched() {
    Look memory;
    const int error = connections_.each([&](const TcpConnection& connection) {
        const auto [interface, fabric] = place_of(connection, memory);
        if (!in_scope(interface, fabric, connection.local.port))
            present_.insert(connection.socket.cookie);
    });
    if (error != 0)
        log_.warning(fmt::format("the connections to ports that were not watched could not be "
                                 "listed: {}; they may be ended as if they began now",
                                 std::strerror(error)));
}

void Undecided::look_for_them(TimePoint now) {
    was_whole_ = false;
    begin_looks(now);
}

void Undecided::judge_recognised(TimePoint now) {
    if (!next_)
        was_whole_ = true;
    begin_looks(now);
}

void Undecided::begin_looks(TimePoint now) {
    last_ = now + for_so_long;
    look(now);
    next_ = now + second_look;
}

void Undecided::on_time(TimePoint now) {
    if (!next_ || *next_ > now)
        return;
    look(now);
    if (now >= last_)
        next_.reset();
    else
        next_ = now + between_looks;
}

void Undecided::look(TimePoint now) {
    Look memory;
    auto flows = find(memory);
    if (!flows) {
        last_ = std::max(last_, now + between_looks);
        return;
    }
    std::unordered_set<Cookie> judged;
    for (auto& flow : *flows) {
        // If the policy changed, the known flows are decided again anyway.
        flow.judged = was_whole_ || judged_.contains(flow.cookie);
        judged.insert(flow.cookie);
    }
    judged_ = std::move(judged);
    begin_part(std::make_shared<Walk>(Walk{std::move(*flows), [this](const Flows& unknown) {
                                               if (!was_whole_)
                                                   tell_of(unknown);
                                               judge(unknown);
                                           }}));
}

void Undecided::tell_of(const Flows& unknown) {
    counters_.undecided.add(unknown.size());
    log_.warning(fmt::format("ubfd has not decided {} connections, such as {}: they began while "
                             "the ruleset was not whole, or the kernel recognised them; each is "
                             "judged now, and ended if it is not allowed",
                             unknown.size(), to_string(unknown.front().flow)));
}

bool Undecided::adopt(const std::function<bool(const UndecidedFlow&)>& recognisable,
                      std::function<void()> done) {
    Look memory;
    auto flows = find(memory);
    if (!flows)
        return false;
    std::erase_if(*flows,
                  [&](const UndecidedFlow& flow) { return !flow.uid || !recognisable(flow); });
    for (auto& flow : *flows)
        flow.judged = true;
    const auto adopt = [this](const Flows& unknown) {
        const auto all = shares(unknown);
        for (std::size_t i = 0; i < all.size(); ++i)
            workers_[i]->adopt(all[i]);
    };
    begin_part(std::make_shared<Walk>(Walk{std::move(*flows), adopt, std::move(done)}));
    return true;
}

// Those that were there when we began to watch are left out.
std::optional<Undecided::Flows> Undecided::find(Look& look) {
    std::unordered_set<Cookie> still_present;
    std::vector<TcpConnection> candidates;
    const int error = connections_.each([&](const TcpConnection& connection) {
        if (present_.contains(connection.socket.cookie))
            still_present.insert(connection.socket.cookie);
        else
            candidates.push_back(connection);
    });
    if (error != 0) {
        log_.warning(fmt::format("the connections of this node could not be listed, to find those "
                                 "that were not decided here: {}",
                                 std::strerror(error)));
        return std::nullopt;
    }
    present_ = std::move(still_present);
    Flows flows;
    for (const auto& connection : candidates)
        if (auto flow = as_flow(connection, look))
            flows.push_back(*flow);
    return flows;
}

// Says where its packets come in.
Undecided::Where Undecided::place_of(const TcpConnection& connection, Look& look) {
    const auto& [local, remote, socket] = connection;
    // The packets of a program on this node come in over loopback, whatever their address.
    const auto interface = interface_with(remote.address, look) ? std::optional(loopback_)
                           : socket.interface != 0              ? std::optional(socket.interface)
                                                   : interface_with(local.address, look);
    const auto index = interface.value_or(0); // of a route, or an address that went away
    return {index, is_fabric(index, look)};
}

// Nothing where no packet of it would have been queued.
std::optional<UndecidedFlow> Undecided::as_flow(const TcpConnection& connection, Look& look) {
    const auto& [local, remote, socket] = connection;
    const auto [index, fabric] = place_of(connection, look);
    if (!in_scope(index, fabric, local.port) || !was_accepted(connection, index, look))
        return std::nullopt;
    UndecidedFlow flow{{Protocol::tcp, remote, local}, index, fabric};
    flow.cookie = socket.cookie;
    flow.uid = listener(local, index, look).uid;
    if (!flow.uid && socket.inode != 0) // before it is accepted, it has no user of its own
        flow.uid = socket.uid;
    return flow;
}

// The interface that has this address of the node.
std::optional<std::uint32_t> Undecided::interface_with(const Address& address, Look& look) const {
    if (is_loopback(address))
        return loopback_;
    const auto [found, is_new] = look.interfaces.try_emplace(address);
    if (is_new)
        found->second = interface_of(address);
    return found->second;
}

bool Undecided::is_fabric(std::uint32_t interface, Look& look) {
    if (!scope_.fabric)
        return false;
    const auto [found, is_new] = look.watched_as_fabric.try_emplace(interface);
    if (is_new) {
        const auto link = links_.find(interface);
        found->second = link && link->is_fabric();
    }
    return found->second;
}

bool Undecided::in_scope(std::uint32_t interface, bool fabric, Port port) const {
    std::array<char, IF_NAMESIZE> name{};
    if (!fabric && !scope_.interfaces.are_all())
        ::if_indextoname(interface, name.data());
    return scope_.of(Protocol::tcp, port, name.data(), fabric) == Scope::Why::watched;
}

const Undecided::Look::Listener& Undecided::listener(const Endpoint& place, std::uint32_t interface,
                                                     Look& look) {
    const auto [found, is_new] = look.listeners.try_emplace({place, interface});
    if (is_new) {
        const auto socket = lookup_.listener(place, interface);
        found->second = {socket || socket.error() == LookupError::failed, std::nullopt};
        if (socket && socket->owner.kind == OwnerKind::user)
            found->second.uid = socket->owner.uid;
    }
    return found->second;
}

// A socket doesn't say whether it was accepted, or has connected. If it has a listener's address
// and port, it was accepted. A listener may be gone by now: then its port is one that a program
// asked for, and the other end has one that the kernel gave.
bool Undecided::was_accepted(const TcpConnection& connection, std::uint32_t interface, Look& look) {
    if (listener(connection.local, interface, look).is_there)
        return true;
    return look.ephemeral.contains(connection.remote.port) &&
           !look.ephemeral.contains(connection.local.port);
}

void Undecided::begin_part(std::shared_ptr<Walk> walk) {
    auto& rest = walk->rest;
    if (rest.empty())
        return walk->done();
    const auto begin =
        rest.end() - static_cast<std::ptrdiff_t>(std::min(rest.size(), most_in_a_part));
    Flows part(begin, rest.end());
    rest.erase(begin, rest.end());
    pass_on(0, std::move(part), std::move(walk));
}

// From worker to worker, on whose threads this is called; each takes out those that it knows.
void Undecided::pass_on(std::size_t worker, Flows part, std::shared_ptr<Walk> walk) {
    if (worker == workers_.size() || part.empty()) {
        if (!part.empty())
            walk->unknown(part);
        return begin_part(std::move(walk));
    }
    workers_[worker]->take_known(std::move(part), [this, worker, walk](Flows unknown) {
        pass_on(worker + 1, std::move(unknown), walk);
    });
}

std::vector<Undecided::Flows> Undecided::shares(const Flows& flows) const {
    std::vector<Flows> shares(workers_.size());
    for (std::size_t i = 0; i < flows.size(); ++i)
        shares[i % shares.size()].push_back(flows[i]);
    return shares;
}

void Undecided::judge(const Flows& flows) {
    auto all = shares(flows);
    for (std::size_t i = 0; i < all.size(); ++i)
        workers_[i]->judge(std::move(all[i]));
}

} // namespace ubf
