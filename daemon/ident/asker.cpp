#include "daemon/ident/asker.hpp"

#include "base/groups.hpp"

#include <algorithm>
#include <sodium.h>
#include <tuple>
#include <utility>

namespace ubf::ident {
namespace {

// The pause before a question is sent again, if the kernel had no room for it.
constexpr std::chrono::milliseconds room_pause{20};
// After an answer that took half of the deadline or more, no peer counts as silent for so long:
// other answers will miss their deadline.
constexpr std::chrono::seconds forgiven_for{3};

} // namespace

Asker::Asker(const Socket& socket, const Socket& lane, Channel channel,
             std::shared_ptr<const Terms> terms, Milliseconds deadline, PeerTable& peers,
             Counters& counters)
  : line_{socket, lane, channel}
  , terms_(std::move(terms))
  , deadline_(deadline)
  , peers_(peers)
  , counters_(counters) {}

void Asker::set_terms(std::shared_ptr<const Terms> terms, Milliseconds deadline) {
    terms_ = std::move(terms);
    deadline_ = deadline;
}

Nonce Nonces::draw() {
    if (left_ == 0) {
        randombytes_buf(drawn_.data(), sizeof drawn_);
        left_ = drawn_.size();
    }
    return drawn_[--left_];
}

Nonce Asker::ask(const Flow& flow, const Flow& asked, Role role, std::optional<Uid> same_as,
                 std::uint32_t interface, std::optional<Gid> group, TimePoint now) {
    Nonce nonce = nonces_.draw();
    while (pending_.contains(nonce))
        nonce = nonces_.draw();
    const auto path = terms_->path(asked.destination.address, asked.source.address);
    const auto kind =
        peers_.asked(path.to.address) ? BackPressure::Kind::proven : BackPressure::Kind::others;
    pending_.emplace(nonce, Pending{{nonce, role, asked, same_as, group},
                                    flow,
                                    path,
                                    interface,
                                    now,
                                    now + deadline_,
                                    kind});
    pressure_.asked(kind);
    unsent_.push_back(nonce);
    counters_.ident.questions.add();
    return nonce;
}

// The question stays in the table, so that its answer is not rejected as unasked.
void Asker::withdraw(Nonce nonce) {
    const auto found = pending_.find(nonce);
    if (found == pending_.end())
        return;
    found->second.withdrawn = true;
    if (const auto kind = std::exchange(found->second.counted, std::nullopt))
        pressure_.dropped(*kind);
}

void Asker::flush(TimePoint now) {
    if (unsent_.empty())
        return;
    auto unsent = std::exchange(unsent_, {});
    const auto barred = terms_->identities ? take_barred(unsent) : std::vector<Flow>{};
    send(unsent, now);
    unsent.clear();
    if (unsent_.empty())
        unsent_.swap(unsent); // for its room
    Owner nobody;
    nobody.word = Word::no_certificate;
    for (const auto& flow : barred)
        handler_(flow, Heard::owner, nobody, now);
}

// A node whose certificate is revoked is not asked.
std::vector<Flow> Asker::take_barred(std::vector<Nonce>& nonces) {
    std::vector<Flow> barred;
    std::erase_if(nonces, [&](Nonce nonce) {
        const auto found = pending_.find(nonce);
        if (found == pending_.end() ||
            !terms_->identities->is_barred(found->second.path.to.address))
            return false;
        if (const auto kind = std::exchange(found->second.counted, std::nullopt))
            pressure_.dropped(*kind);
        if (!found->second.withdrawn)
            barred.push_back(found->second.flow);
        pending_.erase(found);
        return true;
    });
    return barred;
}

// The pauses grow, so that retransmissions do not overload a busy peer.
void Asker::note_sent(Pending& pending, TimePoint now) {
    if (!pending.sent)
        pending.pause = times_.pause();
    pending.sent = now;
    send_later(pending, now + pending.pause);
}

void Asker::send_later(Pending& pending, TimePoint when) {
    pending.again = std::min(when, pending.deadline);
    due_.add(pending.again, pending.question.nonce);
}

// Groups the questions by peer, so that a storm costs a datagram for many. Questions that were
// answered meanwhile are left out.
void Asker::send(const std::vector<Nonce>& nonces, TimePoint now) {
    open_.clear();
    for (const Nonce nonce : nonces)
        if (const auto found = pending_.find(nonce); found != pending_.end())
            open_.push_back(&found->second);
    const auto way = [](const Pending* open) {
        return std::tie(open->path.to, open->path.from, open->interface);
    };
    each_group(open_, way, [this, now](auto group) {
        const auto& [path, interface] = std::tie(group.front()->path, group.front()->interface);
        auto& questions = std::get<std::vector<Question>>(outgoing_.entries);
        questions.clear();
        for (const auto* open : group)
            questions.push_back(open->question);
        outgoing_.from = line_.channel;
        outgoing_.time = wall_clock();
        const bool proven = peers_.standing(path.to.address, now) == PeerTable::Standing::proven;
        const auto& socket = proven ? line_.socket : line_.unproven;
        std::array<std::uint8_t, max_datagram> buffer;
        for (std::size_t first = 0; first < questions.size();) {
            auto open = group.begin() + static_cast<std::ptrdiff_t>(first);
            const auto bytes =
                terms_->write(buffer, outgoing_, first, path, Identities::Why::question);
            const bool no_room = is_want_of_room(socket.send(path, interface, bytes));
            if (no_room)
                counters_.ident.not_sent.add();
            // Any other failure counts as a loss on the way.
            for (const auto last = group.begin() + static_cast<std::ptrdiff_t>(first); open != last;
                 ++open)
                if (no_room)
                    send_later(**open, now + room_pause);
                else
                    note_sent(**open, now);
        }
    });
}

void Asker::receive(TimePoint now) {
    static_cast<void>(line_.socket.receive(
        inbox_, [this, now](const Received& received) { handle(received, now); }));
}

void Asker::handle(const Received& received, TimePoint now) {
    const auto wall = wall_clock();
    const auto datagram = accept(received, *terms_, peers_, counters_.ident, wall);
    if (!datagram && datagram.error() == Rejection::other_version)
        peers_.speaks(received.path.from.address, spoken_version(received.bytes).value_or(0), now);
    if (!datagram && datagram.error() == Rejection::no_certificate)
        ask_for_certificate(received);
    if (!datagram)
        return;
    const auto* answers = std::get_if<std::vector<Answer>>(&datagram->entries);
    if (answers == nullptr || datagram->to != line_.channel) {
        counters_.ident.rejections.add(Rejection::unasked);
        return;
    }
    const auto ahead = datagram->time - wall;
    for (auto answer : *answers) {
        if (terms_->identities)
            terms_->identities->judge(datagram->by, answer.owner);
        if (datagram->sealed)
            note_word(answer, received.path, datagram->time);
        handle(answer, received.path, ahead, now);
    }
}

// The next connection of this user from there, the kernel may recognise.
void Asker::note_word(const Answer& answer, const Path& path, Milliseconds stated) {
    const auto& owner = answer.owner;
    const auto found = pending_.find(answer.nonce);
    if (found == pending_.end() || found->second.path.to != path.from ||
        found->second.path.from != path.to)
        return;
    terms_->identities->answered(path.from.address, stated);
    if (answer.part == Part::busy)
        return;
    const auto& question = found->second.question;
    if (question.role != Role::connector || question.flow.protocol != Protocol::tcp)
        return;
    const auto& connector = question.flow.source.address;
    terms_->identities->note_end(path.from.address, connector);
    if (owner.kind == OwnerKind::user && owner.word == Word::counts)
        terms_->identities->note_word(path.from.address, connector, owner.uid);
}

// The peer may have changed its key. Its answer to the retransmitted question can then be opened.
void Asker::ask_for_certificate(const Received& received) {
    if (!terms_->identities || !is_sealed(received.bytes))
        return;
    std::array<std::uint8_t, max_datagram> buffer;
    const auto path = received.path.reversed();
    if (const auto bytes = terms_->identities->greet(buffer, path, true))
        line_.socket.send(path, received.interface, *bytes);
}

void Asker::handle(const Answer& answer, const Path& path, Milliseconds ahead, TimePoint now) {
    const auto found = pending_.find(answer.nonce);
    // The answer must take the question's path back. A duplicate finds its question closed.
    if (found == pending_.end() || found->second.path.to != path.from ||
        found->second.path.from != path.to) {
        counters_.ident.rejections.add(Rejection::unasked);
        if (peers_.heard(path.from.address, now)) // too late, but the peer is there
            peers_.forgive_until(now + forgiven_for);
        return;
    }
    auto& pending = found->second;
    if (!pending.named) { // else it is the second answer
        peers_.answered(path.from.address, now - pending.asked, ahead, now);
        times_.add(now - (pending.repeated ? pending.asked : *pending.sent));
        if (now - pending.asked >= deadline_ / 2)
            peers_.forgive_until(now + forgiven_for);
    }
    if (const auto kind = std::exchange(pending.counted, std::nullopt))
        pressure_.answered(*kind);
    const auto flow = pending.flow;
    const bool withdrawn = pending.withdrawn;
    if (answer.part == Part::uid) {
        if (std::exchange(pending.named, answer.owner))
            return;
        // The peer searches for the credentials. The question is sent once more, as the second
        // answer may get lost.
        send_later(pending, now + (pending.deadline - now) / 2);
        pending.pause = deadline_;
        if (!withdrawn)
            handler_(flow, Heard::uid, answer.owner, now);
        return;
    }
    counters_.ident.answers.add();
    if (answer.part == Part::busy)
        counters_.ident.answers_busy.add();
    if (answer.owner.credentials)
        counters_.owners.methods.add(answer.owner.credentials->method);
    pending_.erase(found);
    if (!withdrawn)
        handler_(flow, answer.part == Part::busy ? Heard::busy : Heard::owner, answer.owner, now);
}

std::optional<TimePoint> Asker::next() const {
    return due_.next();
}

void Asker::on_time(TimePoint now) {
    if (const auto first = due_.next(); first && *first + deadline_ / 2 <= now) {
        peers_.forgive_until(now + deadline_); // it is we who are late
        receive(now);                          // answers that came in time
    }
    std::vector<Nonce> again;
    std::vector<Pending> expired;
    while (const auto due = due_.take(now)) {
        const auto [when, nonce] = *due;
        const auto found = pending_.find(nonce);
        if (found == pending_.end() || found->second.again != when)
            continue;
        auto& pending = found->second;
        if (pending.withdrawn) {
            pending_.erase(found);
            continue;
        }
        const bool over =
            pending.deadline <= now ||
            (!pending.named && peers_.refuses(pending.path.to.address, pending.asked));
        // The timeout may have grown since the question was sent.
        const bool is_first = pending.sent && !pending.repeated && !pending.named;
        if (is_first && !over && now < *pending.sent + times_.pause()) {
            send_later(pending, *pending.sent + times_.pause());
            continue;
        }
        if (pending.sent || over)
            if (const auto kind = std::exchange(pending.counted, std::nullopt))
                pressure_.unanswered(*kind);
        if (over) {
            expired.push_back(std::move(pending));
            pending_.erase(found);
            continue;
        }
        if (pending.sent) {
            pending.pause *= 2;
            pending.repeated = true;
            counters_.ident.retransmissions.add();
        }
        again.push_back(nonce);
    }
    if (!again.empty())
        send(again, now);
    for (const auto& pending : expired)
        expire(pending, now);
}

void Asker::expire(const Pending& pending, TimePoint now) {
    const auto& flow = pending.flow;
    if (!pending.sent)
        handler_(flow, Heard::unsent, Owner{}, now);
    else if (pending.named)
        handler_(flow, Heard::late, *pending.named, now);
    else
        handler_(flow, Heard::nothing, Owner{}, now);
}

} // namespace ubf::ident
