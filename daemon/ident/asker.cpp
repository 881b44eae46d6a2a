#include "daemon/ident/asker.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <sodium.h>
#include <sys/eventfd.h>
#include <system_error>
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
             Milliseconds deadline, PeerTable& peers, Counters& counters)
  : socket_(socket)
  , channel_(channel)
  , terms_(std::move(terms))
  , deadline_(deadline)
  , peers_(peers)
  , counters_(counters)
  , event_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    if (!event_)
        throw std::system_error(errno, std::generic_category(), "eventfd");
}

void Asker::set_terms(std::shared_ptr<const Terms> terms, Milliseconds deadline) {
    terms_ = std::move(terms);
    deadline_ = deadline;
}

void Asker::ask(const Flow& flow, Role role, std::optional<Uid> same_as, std::uint32_t interface) {
    const auto now = Clock::now();
    const auto path = terms_->path(flow.destination.address, flow.source.address);
    Nonce nonce = random_nonce();
    {
        const std::lock_guard lock(mutex_);
        while (pending_.contains(nonce))
            nonce = random_nonce();
        const Question question{nonce, role, flow, same_as};
        pending_.emplace(nonce,
                         Pending{question, path, interface, now, now + deadline_, first_pause});
    }
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

// Groups the questions by peer, so that a storm costs a datagram for many. What was answered
// meanwhile is left out.
void Asker::send(const std::vector<Nonce>& nonces) {
    open_.clear();
    {
        const std::lock_guard lock(mutex_);
        for (const Nonce nonce : nonces)
            if (const auto found = pending_.find(nonce); found != pending_.end())
                open_.push_back(
                    {found->second.path, found->second.interface, found->second.question});
    }
    const auto way = [](const Open& open) {
        return std::tie(open.path.to, open.path.from, open.interface);
    };
    std::ranges::sort(open_, {}, way);
    for (auto begin = open_.begin(); begin != open_.end();) {
        const auto end = std::find_if(begin, open_.end(),
                                      [&](const Open& open) { return way(open) != way(*begin); });
        auto& questions = std::get<std::vector<Question>>(outgoing_.entries);
        questions.clear();
        for (auto open = begin; open != end; ++open)
            questions.push_back(open->question);
        outgoing_.from = channel_;
        outgoing_.time = wall_clock();
        std::array<std::uint8_t, max_datagram> buffer;
        for (std::size_t first = 0; first < questions.size();) {
            const auto bytes = encode(buffer, outgoing_, first, begin->path, terms_->keys.current);
            // What can't be sent now is sent again, as what gets lost.
            static_cast<void>(socket_.send(begin->path, begin->interface, bytes));
        }
        begin = end;
    }
}

void Asker::deliver(const std::vector<Answer>& answers, const Path& path) {
    const auto now = Clock::now();
    const std::lock_guard lock(mutex_);
    const bool sleeping = answered_.empty();
    for (const auto& answer : answers) {
        const auto found = pending_.find(answer.nonce);
        // The answer must come from where the question went, to where it came from.
        if (found == pending_.end() || found->second.path.to != path.from ||
            found->second.path.from != path.to) {
            counters_.rejections.add(Rejection::unasked);
            continue;
        }
        counters_.answers.add();
        if (answer.owner.credentials)
            counters_.methods.add(answer.owner.credentials->method);
        peers_.answered(path.from.address, now - found->second.asked);
        answered_.push_back({found->second.question.flow, answer.owner});
        pending_.erase(found);
    }
    if (sleeping && !answered_.empty()) {
        const std::uint64_t one = 1;
        [[maybe_unused]] const auto written = ::write(event_.get(), &one, sizeof one);
    }
}

void Asker::receive() {
    std::uint64_t count = 0;
    [[maybe_unused]] const auto length = ::read(event_.get(), &count, sizeof count);
    {
        const std::lock_guard lock(mutex_);
        handled_.swap(answered_);
    }
    for (const auto& answered : handled_)
        handler_(answered.flow, answered.owner);
    handled_.clear();
}

std::optional<TimePoint> Asker::next() const {
    if (due_.empty())
        return std::nullopt;
    return due_.top().when;
}

void Asker::on_time(TimePoint now) {
    std::vector<Nonce> again;
    std::vector<Flow> expired;
    {
        const std::lock_guard lock(mutex_);
        while (!due_.empty() && due_.top().when <= now) {
            const Nonce nonce = due_.top().nonce;
            due_.pop();
            const auto found = pending_.find(nonce);
            if (found == pending_.end())
                continue;
            auto& pending = found->second;
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
    }
    if (!again.empty())
        send(again);
    for (const auto& flow : expired)
        handler_(flow, std::nullopt);
}

} // namespace ubf::ident
