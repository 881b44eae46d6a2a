#include "daemon/ident/asker.hpp"

#include <algorithm>
#include <array>
#include <sodium.h>
#include <tuple>

namespace ubf::ident {
namespace {

// The first repetition comes soon, for a datagram that was lost on an idle network; the pauses
// grow, so that a peer under load is not asked to death.
constexpr std::chrono::milliseconds first_pause{60};

Nonce random_nonce() {
    std::uint64_t nonce = 0;
    randombytes_buf(&nonce, sizeof nonce);
    return Nonce{nonce};
}

} // namespace

Asker::Asker(Socket& socket, Channel channel, std::shared_ptr<const Terms> terms,
             Milliseconds deadline, PeerTable& peers, Counters& counters, Handler handler)
  : socket_(socket)
  , channel_(channel)
  , terms_(std::move(terms))
  , deadline_(deadline)
  , peers_(peers)
  , counters_(counters)
  , handler_(std::move(handler)) {}

void Asker::set_terms(std::shared_ptr<const Terms> terms, Milliseconds deadline) {
    terms_ = std::move(terms);
    deadline_ = deadline;
}

void Asker::ask(const Flow& flow, Role role, std::optional<Uid> same_as, std::uint32_t interface) {
    const auto now = Clock::now();
    const Nonce nonce = random_nonce();
    const Path path{{flow.destination.address, terms_->port}, {flow.source.address, terms_->port}};
    const auto [entry, added] = pending_.try_emplace(
        nonce,
        Pending{{nonce, role, flow, same_as}, path, interface, now, now + deadline_, first_pause});
    if (!added)
        return; // the same 64 random bits twice: the packet waits in vain, and its sender asks
                // again
    unsent_.push_back(nonce);
    due_.push({now + first_pause, nonce});
    counters_.questions.add();
    peers_.asked(flow.source.address);
}

void Asker::flush() {
    if (unsent_.empty())
        return;
    send(unsent_);
    unsent_.clear();
}

// Groups the questions by peer, so that a storm costs a datagram for many.
void Asker::send(std::vector<Nonce>& nonces) {
    const auto path_of = [&](Nonce nonce) {
        const auto& pending = pending_.at(nonce);
        return std::tie(pending.path.to, pending.path.from, pending.interface);
    };
    std::ranges::sort(nonces, [&](Nonce a, Nonce b) { return path_of(a) < path_of(b); });
    for (auto begin = nonces.begin(); begin != nonces.end();) {
        const auto end = std::find_if(
            begin, nonces.end(), [&](Nonce nonce) { return path_of(nonce) != path_of(*begin); });
        auto& questions = std::get<std::vector<Question>>(outgoing_.entries);
        questions.clear();
        for (auto nonce = begin; nonce != end; ++nonce)
            questions.push_back(pending_.at(*nonce).question);
        outgoing_.from = channel_;
        outgoing_.time = wall_clock();
        const auto& first_pending = pending_.at(*begin);
        std::array<std::uint8_t, max_datagram> buffer;
        for (std::size_t first = 0; first < questions.size();) {
            const auto bytes =
                encode(buffer, outgoing_, first, first_pending.path, terms_->keys.current);
            // What can't be sent now is sent again, as what gets lost.
            static_cast<void>(socket_.send(first_pending.path, first_pending.interface, bytes));
        }
        begin = end;
    }
}

void Asker::receive() {
    constexpr int most_rounds = 8;
    for (int round = 0; round < most_rounds; ++round) {
        const auto count = socket_.receive([&](const Received& received) {
            const auto datagram = accept(received, channel_, *terms_, counters_);
            if (!datagram)
                return;
            const auto* answers = std::get_if<std::vector<Answer>>(&datagram->entries);
            if (answers == nullptr) {
                counters_.rejections.add(Rejection::unasked);
                return;
            }
            for (const auto& answer : *answers)
                take(answer, received.path);
        });
        if (count == 0)
            return;
    }
}

void Asker::take(const Answer& answer, const Path& path) {
    const auto found = pending_.find(answer.nonce);
    // The answer must come from where the question went, to where it came from.
    if (found == pending_.end() || found->second.path.to != path.from ||
        found->second.path.from != path.to) {
        counters_.rejections.add(Rejection::unasked);
        return;
    }
    const auto pending = std::move(found->second);
    pending_.erase(found);
    counters_.answers.add();
    if (answer.owner.credentials)
        counters_.methods.add(answer.owner.credentials->method);
    peers_.answered(path.from.address, Clock::now() - pending.asked);
    handler_(pending.question.flow, answer.owner);
}

std::optional<TimePoint> Asker::next() const {
    if (due_.empty())
        return std::nullopt;
    return due_.top().when;
}

void Asker::on_time(TimePoint now) {
    std::vector<Nonce> again;
    while (!due_.empty() && due_.top().when <= now) {
        const Nonce nonce = due_.top().nonce;
        due_.pop();
        const auto found = pending_.find(nonce);
        if (found == pending_.end())
            continue;
        auto& pending = found->second;
        if (pending.deadline <= now) {
            const Flow flow = pending.question.flow;
            pending_.erase(found);
            handler_(flow, std::nullopt);
            continue;
        }
        pending.pause *= 2;
        due_.push({std::min(now + pending.pause, pending.deadline), nonce});
        again.push_back(nonce);
        counters_.retransmissions.add();
    }
    // The handler may have asked anew, but never takes back a question.
    std::erase_if(again, [&](Nonce nonce) { return !pending_.contains(nonce); });
    if (!again.empty())
        send(again);
}

} // namespace ubf::ident
