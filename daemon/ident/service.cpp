#include "daemon/ident/service.hpp"

#include "daemon/ident/introductions.hpp"

#include <algorithm>
#include <array>
#include <system_error>

namespace ubf::ident {

Service::Service(const Socket& socket, std::shared_ptr<const Terms> terms, Milliseconds deadline,
                 Shared shared, Service* first)
  : socket_(socket)
  , terms_(std::move(terms))
  , shared_(shared)
  , first_(first)
  , thread_(first == nullptr ? "ident" : "ident, one of its others")
  , sockets_(shared.tickets, Tickets::Use::spend)
  , respondent_(
        sockets_, shared.owners, told_, shared.counters, thread_.mailbox(), deadline,
        {[this](const Sender& to, std::vector<Answer> answers) { send(to, std::move(answers)); },
         [this](const Address& asker, const Flow& flow, auto then) {
             return shared_.sent_flows.find_original(asker, flow, std::move(then));
         }}) {
    thread_.loop().watch(socket_.fd(), [this] { receive(); });
    if (first_ == nullptr) {
        if (const int error = destroy_notices_.begin(); error != 0)
            throw std::system_error(error, std::generic_category(),
                                    "listening for sockets that are gone");
        thread_.loop().watch(destroy_notices_.fd(), [this] { notice_destroyed(); });
    }
    thread_.start("ident", {}, {[this] { return next(); }, [this](TimePoint now) { go_on(now); }});
}

void Service::set_terms(std::shared_ptr<const Terms> terms, Milliseconds deadline) {
    thread_.post([this, terms = std::move(terms), deadline] {
        terms_ = terms;
        respondent_.set_deadline(deadline);
    });
}

void Service::on(Handlers handlers) {
    thread_.post([this, handlers = std::move(handlers)] { on_ = handlers; });
}

std::optional<TimePoint> Service::next() const {
    const auto told = told_.next();
    const auto asked = firsts_.inquiries.next();
    return told && asked ? std::min(told, asked) : told ? told : asked;
}

void Service::go_on(TimePoint now) {
    respondent_.send_ready();
    send_inquiries(now);
    tell(told_.due(now));
    told_.look_after(now, still_there());
}

void Service::receive() {
    constexpr int most_rounds = 8;
    for (int round = 0; round < most_rounds; ++round)
        if (!socket_.receive(inbox_, [this, now = Clock::now()](const Received& received) {
                handle(received, now);
            }))
            return;
}

void Service::handle(const Received& received, TimePoint now) {
    if (introduction_of(received.bytes))
        return take_introduction(received, *terms_, socket_, shared_.counters.ident);
    const auto datagram =
        accept(received, *terms_, shared_.peers, shared_.counters.ident, wall_clock());
    if (!datagram && datagram.error() == Rejection::other_version)
        answer_version(received, now);
    greet(received, datagram, *terms_, socket_);
    if (!datagram)
        return;
    // An answer goes to the channel that asked.
    if (datagram->to != Channel::service ||
        std::holds_alternative<std::vector<Answer>>(datagram->entries)) {
        shared_.counters.ident.rejections.add(Rejection::unasked);
        return;
    }
    if (!replay_.add(fingerprint(received.bytes))) {
        shared_.counters.ident.rejections.add(Rejection::repeated);
        return;
    }
    shared_.peers.heard(received.path.from.address, now);
    const Sender sender{received.path, received.interface, datagram->from, datagram->sealed};
    auto& entries = datagram->entries;
    if (const auto* questions = std::get_if<std::vector<Question>>(&entries)) {
        handle(*questions, sender, now);
    } else if (auto* gone = std::get_if<std::vector<Gone>>(&entries)) {
        hand_on(*gone, sender);
    } else if (auto* seen = std::get_if<std::vector<GoneSeen>>(&entries)) {
        if (first_ != nullptr)
            handle(*seen, sender); // each thread withdraws the labels that it told
        hand_on(*seen, sender);
    } else if (auto* refused = std::get_if<std::vector<Refused>>(&entries)) {
        hand_on(*refused, sender);
    } else if (auto* inquiries = std::get_if<std::vector<Inquiry>>(&entries)) {
        hand_on(*inquiries, sender);
    } else if (auto* decisions = std::get_if<std::vector<Decision>>(&entries)) {
        hand_on(*decisions, sender);
    }
}

// For work that others do. A peer that has too much of it under way sends its entries again.
PeerShares::Room Service::take_room(const Sender& sender, std::size_t entries) {
    auto& shares = first_ == nullptr ? firsts_.shares : first_->firsts_.shares;
    auto room = shares.take(sender.path.from.address, entries);
    if (!room)
        shared_.counters.ident.over_share.add(entries);
    return room;
}

// Hands on to the first thread, which may be this one.
template<typename Entry>
void Service::hand_on(std::vector<Entry> entries, const Sender& sender) {
    if (first_ == nullptr)
        return handle(entries, sender);
    if (auto room = take_room(sender, entries.size()))
        first_->thread_.post([first = first_, entries = std::move(entries), sender,
                              room = std::move(room)]() mutable {
            room.reset(); // it may take room again
            first->handle(entries, sender);
        });
}

// Tells the peer our version, so that both nodes can log the difference.
void Service::answer_version(const Received& received, TimePoint now) {
    const auto& address = received.path.from.address;
    shared_.peers.speaks(address, spoken_version(received.bytes).value_or(0), now);
    if (is_notice(received.bytes) || !shared_.peers.may_tell_version(address, now))
        return;
    Datagram notice{Channel::service, Channel::service, wall_clock(), std::vector<Gone>{}};
    std::array<std::uint8_t, max_datagram> buffer;
    std::size_t first = 0;
    const auto path = received.path.reversed();
    const auto bytes = encode(buffer, notice, first, path, terms_->keys.current);
    socket_.send(path, received.interface, bytes); // if lost, the next datagram gets a reply
}

void Service::handle(const std::vector<Question>& questions, const Sender& sender, TimePoint now) {
    std::vector<Question> of_tcp;
    std::vector<Question> of_listeners;
    std::vector<Question> others;
    for (const auto& question : questions) {
        // A peer is told only of flows between the two addresses of its question: flows that begin
        // here, and end at the asker.
        if (!terms_->came_between(sender.path, question.flow.destination.address,
                                  question.flow.source.address))
            shared_.counters.ident.rejections.add(Rejection::not_theirs);
        else if (question.flow.protocol != Protocol::tcp)
            others.push_back(question);
        else
            (question.role == Role::listener ? of_listeners : of_tcp).push_back(question);
    }
    if (!of_listeners.empty())
        answer_portal(of_listeners, sender, now);
    if (!of_tcp.empty()) {
        note_listeners(of_tcp, sender, *terms_);
        respondent_.answer(of_tcp, sender, now);
    }
    if (others.empty())
        return;
    if (first_ == nullptr)
        return answer_others(others, sender);
    if (auto room = take_room(sender, others.size()))
        first_->thread_.post([first = first_, others = std::move(others), sender,
                              room = std::move(room)] { first->answer_others(others, sender); });
}

// Only nodes with portals are told who listens at a port of this node. Any other is answered as by
// an older ubfd: such a socket sends nothing.
void Service::answer_portal(const std::vector<Question>& questions, const Sender& sender,
                            TimePoint now) {
    if (contains(terms_->portals, sender.path.from.address))
        return respondent_.answer_listeners(questions, sender, now);
    shared_.counters.ident.listeners.refused.add(questions.size());
    std::vector<Answer> unknown;
    unknown.reserve(questions.size());
    for (const auto& question : questions)
        unknown.push_back({question.nonce, Owner{}});
    send(sender, std::move(unknown));
}

// Questions about RDMA and UDP, which only the first thread answers.
void Service::answer_others(const std::vector<Question>& others, const Sender& sender) {
    std::vector<Question> of_udp;
    for (const auto& question : others) {
        if (question.flow.protocol == Protocol::rdma)
            ask_rdma(question, sender);
        else
            of_udp.push_back(question);
    }
    if (!of_udp.empty())
        answer_sent(std::move(of_udp), sender);
}

// A UDP port, unlike a connected TCP socket, does not prove that its owner has sent to the peer. So
// a datagram that this node has not sent has no owner here.
void Service::answer_sent(std::vector<Question> questions, const Sender& sender) {
    const auto room = take_room(sender, questions.size());
    if (!room)
        return;
    std::vector<Flow> flows;
    flows.reserve(questions.size());
    for (const auto& question : questions)
        flows.push_back(question.flow);
    // If there is no room, the peer asks again.
    static_cast<void>(shared_.sent_flows.find(
        sender.path.from.address, std::move(flows),
        [this, questions = std::move(questions), sender, room](const std::vector<bool>& was_sent) {
            thread_.post([this, questions, sender, was_sent, room] {
                std::vector<Question> sent;
                std::vector<Answer> unknown;
                for (std::size_t i = 0; i < questions.size(); ++i)
                    if (was_sent[i])
                        sent.push_back(questions[i]);
                    else
                        unknown.push_back({questions[i].nonce, Owner{}});
                shared_.counters.ident.no_evidence.add(unknown.size());
                if (!sent.empty())
                    respondent_.answer(sent, sender, Clock::now());
                send(sender, std::move(unknown));
            });
        }));
}

// The peer is not notified of the end of such a connection: its own watcher looks again.
void Service::ask_rdma(const Question& question, const Sender& sender) {
    if (!on_.rdma)
        return;
    const auto room = take_room(sender, 1);
    if (!room)
        return;
    on_.rdma(question.flow, [this, nonce = question.nonce, sender, room](Owner owner) {
        thread_.post([this, nonce, sender, owner = std::move(owner)] {
            send(sender, std::vector<Answer>{{nonce, owner}});
        });
    });
}

void Service::send(const Sender& to, Entries entries) {
    if (const auto* answers = std::get_if<std::vector<Answer>>(&entries))
        for (const auto& answer : *answers) {
            if (answer.part != Part::uid)
                shared_.counters.ident.answered.add();
            if (answer.part == Part::busy)
                shared_.counters.ident.answered_busy.add();
        }
    const Datagram datagram{to.channel, Channel::service, wall_clock(), std::move(entries)};
    const auto count = std::visit([](const auto& all) { return all.size(); }, datagram.entries);
    const Path path = to.path.reversed();
    using Why = Identities::Why;
    const auto why = std::holds_alternative<std::vector<Answer>>(datagram.entries)
                         ? (to.sealed ? Why::reply : Why::clear_reply)
                         : Why::unasked;
    std::array<std::uint8_t, max_datagram> buffer;
    for (std::size_t first = 0; first < count;) {
        const auto bytes = terms_->write(buffer, datagram, first, path, why);
        // If it can't be sent, the peer asks again, or the notice is retransmitted.
        if (is_want_of_room(socket_.send(path, to.interface, bytes)))
            shared_.counters.ident.not_sent.add();
    }
}

} // namespace ubf::ident
