#include "daemon/ident/asker.hpp"

#include <algorithm>
#include <sodium.h>
#include <tuple>

namespace ubf::ident {
namespace {

// The first repetition comes soon, for a datagram that was lost on an idle network; the pauses
// grow, so that a peer under load is not asked to death.
constexpr std::chrono::milliseconds first_pause{60};

} // namespace

Asker::Asker(const Socket& socket, Channel channel, std::shared_ptr<const Terms> terms,
             Milliseconds deadline, PeerTable& peers, Counters& counters)
  : socket_(socket)
  , channel_(channel)
  , terms_(std::move(terms))
  , deadline_(deadline)
  , peers_(peers)
  , counters_(counters) {}

void Asker::set_terms(std::shared_ptr<const Terms> terms, Milliseconds deadline) {
    terms_ = std::move(terms);
    deadline_ = deadline;
}

Nonce Asker::new_nonce() {
    if (nonces_left_ == 0) {
        randombytes_buf(nonces_.data(), sizeof nonces_);
        nonces_left_ = nonces_.size();
    }
    return nonces_[--nonces_left_];
}

Nonce Asker::ask(const Flow& flow, Role role, std::optional<Uid> same_as, std::uint32_t interface,
                 Wish wish) {
    const auto now = Clock::now();
    Nonce nonce = new_nonce();
    while (pending_.contains(nonce))
        nonce = new_nonce();
    pending_.emplace(nonce, Pending{{nonce, role, flow, same_as, wish},
                                    terms_->path(flow.destination.address, flow.source.address),
                                    interface,
                                    now,
                                    now + deadline_,
                                    first_pause});
    unsent_.push_back(nonce);
    due_.push({now + first_pause, nonce});
    counters_.questions.add();
    peers_.asked(flow.source.address);
    return nonce;
}

// It stays, so that its answer is known for one.
void Asker::withdraw(Nonce nonce) {
    if (const auto found = pending_.find(nonce); found != pending_.end())
        found->second.withdrawn = true;
}

void Asker::flush() {
    if (unsent_.empty())
        return;
    send(unsent_);
    unsent_.clear();
}

// Groups the questions by peer, so that a storm costs a datagram for many. What was answered
// meanwhile is left out.
void Asker::send(const std::vector<Nonce>& nonces) {
    open_.clear();
    for (const Nonce nonce : nonces)
        if (const auto found = pending_.find(nonce); found != pending_.end())
            open_.push_back(&found->second);
    const auto way = [](const Pending* open) {
        return std::tie(open->path.to, open->path.from, open->interface);
    };
    std::ranges::sort(open_, {}, way);
    for (auto begin = open_.begin(); begin != open_.end();) {
        const auto end = std::find_if(
            begin, open_.end(), [&](const Pending* open) { return way(open) != way(*begin); });
        auto& questions = std::get<std::vector<Question>>(outgoing_.entries);
        questions.clear();
        for (auto open = begin; open != end; ++open)
            questions.push_back((*open)->question);
        outgoing_.from = channel_;
        outgoing_.time = wall_clock();
        std::array<std::uint8_t, max_datagram> buffer;
        for (std::size_t first = 0; first < questions.size();) {
            const auto& path = (*begin)->path;
            const auto bytes = encode(buffer, outgoing_, first, path, terms_->keys.current);
            // What can't be sent now is sent again, as what gets lost.
            static_cast<void>(socket_.send(path, (*begin)->interface, bytes));
        }
        begin = end;
    }
}

void Asker::receive() {
    static_cast<void>(
        socket_.receive(inbox_, [this](const Received& received) { handle(received); }));
}

void Asker::handle(const Received& received) {
    const auto datagram = accept(received, *terms_, counters_);
    if (!datagram)
        return;
    const auto* answers = std::get_if<std::vector<Answer>>(&datagram->entries);
    if (answers == nullptr || datagram->to != channel_) {
        counters_.rejections.add(Rejection::unasked);
        return;
    }
    const auto now = Clock::now();
    for (const auto& answer : *answers)
        handle(answer, received.path, now);
}

void Asker::handle(const Answer& answer, const Path& path, TimePoint now) {
    const auto found = pending_.find(answer.nonce);
    // The answer must come from where the question went, to where it came from. A repeated one
    // finds its question closed.
    if (found == pending_.end() || found->second.path.to != path.from ||
        found->second.path.from != path.to) {
        counters_.rejections.add(Rejection::unasked);
        return;
    }
    counters_.answers.add();
    if (answer.owner.credentials)
        counters_.methods.add(answer.owner.credentials->method);
    peers_.answered(path.from.address, now - found->second.asked);
    const auto flow = found->second.question.flow;
    const bool withdrawn = found->second.withdrawn;
    pending_.erase(found);
    if (!withdrawn)
        handler_(flow, answer.owner);
}

std::optional<TimePoint> Asker::next() const {
    if (due_.empty())
        return std::nullopt;
    return due_.top().when;
}

void Asker::on_time(TimePoint now) {
    std::vector<Nonce> again;
    std::vector<Flow> expired;
    while (!due_.empty() && due_.top().when <= now) {
        const Nonce nonce = due_.top().nonce;
        due_.pop();
        const auto found = pending_.find(nonce);
        if (found == pending_.end())
            continue;
        auto& pending = found->second;
        if (pending.withdrawn) {
            pending_.erase(found);
            continue;
        }
        if (pending.deadline <= now) {
            expired.push_back(pending.question.flow);
            pending_.erase(found);
            continue;
        }
        pending.pause *= 2;
        due_.push({std::min(now + pending.pause, pending.deadline), nonce});
        again.push_back(nonce);
        counters_.retransmissions.add();
    }
    if (!again.empty())
        send(again);
    for (const auto& flow : expired)
        handler_(flow, std::nullopt);
}

} // namespace ubf::ident
