#include "daemon/udp/answers.hpp"

#include "flow/own_address.hpp"
#include "nft/inspection.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <ctime>
#include <linux/capability.h>
#include <netinet/tcp.h>
#include <system_error>

namespace ubf {
namespace {

// A look at all entries follows a notice at once, and the next one waits. So looks take a twentieth
// of a processor at most, on a node that closes sockets all the time.
constexpr std::chrono::milliseconds shortest_pause{100};
constexpr int rest = 20;

// The time that this thread has run.
std::chrono::nanoseconds run_time() {
    timespec time{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

constexpr std::size_t most_at_a_time = 256;

// A socket that is connected to the other end has chosen to hear it. Any other may be somebody
// else's, who has the port by now.
bool is_orphan(const SockDiag::Found& socket, bool is_free) {
    if (!socket)
        return socket.error() == ENOENT;
    return is_free && socket->state != TCP_ESTABLISHED;
}

} // namespace

Answers::Answers(nft::Connection& table, LatelySent& lately_sent)
  : lately_sent_(lately_sent)
  , sets_(table) {
    if (const int error = notices_.begin(); error != 0)
        throw std::system_error(error, std::generic_category(),
                                "listening for UDP sockets that are gone");
    thread_.loop().watch(notices_.fd(), [this] { receive(); });
    thread_.start("answers", {CAP_NET_ADMIN},
                  {[this] { return next_; }, [this](TimePoint now) { go_on(now); }});
}

// Notices that come during the pause wait in the socket.
void Answers::receive() {
    do {
        freed_.clear();
        missed_ |= !notices_.receive(freed_);
        for (const Port port : freed_) {
            free_.set(port);
            any_free_ |= port != 0; // it had none
        }
    } while (freed_.size() >= DestroyNotices::most_at_a_time);
}

void Answers::go_on(TimePoint now) {
    if (next_ && *next_ > now)
        return;
    if (next_)
        thread_.loop().resume(notices_.fd());
    next_.reset();
    if (!any_free_ && !missed_)
        return;
    const auto begun = run_time();
    end_orphans();
    next_ = Clock::now() + std::max<Clock::duration>(shortest_pause, rest * (run_time() - begun));
    thread_.loop().pause(notices_.fd());
}

void Answers::end_orphans() {
    Interfaces own;
    for (const auto& each : own_addresses())
        own.try_emplace(each.address, each.interface);
    std::vector<Flow> tracked;
    const int error = conntrack_.each_of_udp([&](const TrackedConnection& each) {
        if (missed_ || free_.test(each.original.source.port))
            tracked.push_back(each.original);
    });
    keep_orphans(tracked, own);
    end_tracked(tracked);

    auto untracked = nft::sent_flows(reader_);
    bool complete = error == 0 && (untracked || untracked.error() == ENOENT);
    if (untracked) {
        keep_orphans(*untracked, own);
        complete &= sets_.forget_sent(*untracked) == 0;
    }
    missed_ = !complete;
    free_.reset();
    any_free_ = false;
}

// Leaves those that are to end. A peer may still ask about a datagram that is on its way.
void Answers::keep_orphans(std::vector<Flow>& sent, const Interfaces& own) {
    constexpr std::uint32_t loopback = 1; // LOOPBACK_IFINDEX, include/net/flow.h
    std::vector<SocketQuery> queries;
    std::erase_if(sent, [&](const Flow& flow) {
        const auto& from = flow.source;
        const auto interface = own.find(from.address);
        const bool is_own = interface != own.end() || is_loopback(from.address);
        if (!is_own || (!missed_ && !free_.test(from.port)))
            return true;
        queries.push_back({Protocol::udp, from, flow.destination,
                           interface == own.end() ? loopback : interface->second});
        return false;
    });
    const auto sockets = find(queries);
    std::size_t next = 0;
    std::erase_if(sent, [&](const Flow& flow) {
        return !is_orphan(sockets[next++], free_.test(flow.source.port));
    });
    for (const auto& flow : sent)
        lately_sent_.add(flow);
}

// There may be very many.
std::vector<SockDiag::Found> Answers::find(std::span<const SocketQuery> queries) {
    std::vector<SockDiag::Found> found(queries.size());
    for (std::size_t i = 0; i < queries.size(); i += most_at_a_time) {
        const auto count = std::min(most_at_a_time, queries.size() - i);
        sockets_.find(queries.subspan(i, count), std::span(found).subspan(i, count));
        thread_.heartbeat().beat(Clock::now());
    }
    return found;
}

void Answers::end_tracked(std::span<const Flow> flows) {
    for (std::size_t i = 0; i < flows.size(); ++i) {
        conntrack_.forget(flows[i]);
        if (i % most_at_a_time == 0)
            thread_.heartbeat().beat(Clock::now());
    }
}

} // namespace ubf
