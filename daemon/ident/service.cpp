#include "daemon/ident/service.hpp"

#include "base/groups.hpp"
#include "daemon/core/thread.hpp"
#include "flow/own_address.hpp"

#include <algorithm>
#include <array>
#include <system_error>

namespace ubf::ident {
namespace {

// An answer that waits for a search must still reach the asker before its deadline.
constexpr Milliseconds travel{100};

} // namespace

Service::Service(const Socket& socket, std::shared_ptr<const Terms> terms, Milliseconds deadline,
                 Shared shared, Service* first)
  : socket_(socket)
  , terms_(std::move(terms))
  , deadline_(deadline)
  , shared_(shared)
  , first_(first)
  , heartbeat_(first == nullptr ? "ident" : "ident, one of its others") {
    loop_.watch(socket_.fd(), [this] { receive(); });
    if (first_ == nullptr) {
        if (const int error = destroy_notices_.begin(); error != 0)
            throw std::system_error(error, std::generic_category(),
                                    "listening for sockets that are gone");
        loop_.watch(destroy_notices_.fd(), [this] { notice_destroyed(); });
    }
    loop_.watch(mailbox_.fd(), [this] { mailbox_.run(); });
    thread_ = std::thread([this] { run(); });
}

Service::~Service() {
    mailbox_.post([this] { stopping_ = true; });
    thread_.join();
}

void Service::set_terms(std::shared_ptr<const Terms> terms, Milliseconds deadline) {
    mailbox_.post([this, terms = std::move(terms), deadline] {
        terms_ = terms;
        deadline_ = deadline;
    });
}

void Service::on_withdrawn(std::function<void(const Flow&)> withdrawn) {
    mailbox_.post([this, withdrawn = std::move(withdrawn)] { withdrawn_ = withdrawn; });
}

void Service::on_rdma(FindRdma find) {
    mailbox_.post([this, find = std::move(find)] { find_rdma_ = find; });
}

void Service::run() {
    enter_thread("ident");
    while (!stopping_) {
        const auto latest = Clock::now() + Heartbeat::period;
        loop_.run_once(std::min(told_.next().value_or(latest), latest));
        send_ready();
        const auto now = Clock::now();
        heartbeat_.beat(now);
        tell(told_.due(now));
        told_.look_after(now, still_there_);
    }
}

void Service::receive() {
    constexpr int most_rounds = 8;
    for (int round = 0; round < most_rounds; ++round)
        if (!socket_.receive(inbox_, [this](const Received& received) { handle(received); }))
            return;
}

void Service::handle(const Received& received) {
    const auto datagram = accept(received, *terms_, shared_.peers, shared_.counters);
    if (!datagram && datagram.error() == Rejection::other_version)
        answer_version(received);
    if (!datagram)
        return;
    // An answer goes to the channel that asked.
    if (datagram->to != Channel::service ||
        std::holds_alternative<std::vector<Answer>>(datagram->entries)) {
        shared_.counters.rejections.add(Rejection::unasked);
        return;
    }
    if (!replay_.add(fingerprint(received.bytes))) {
        shared_.counters.rejections.add(Rejection::repeated);
        return;
    }
    shared_.peers.heard(received.path.from.address);
    const Sender sender{received.path, received.interface, datagram->from};
    auto& entries = datagram->entries;
    if (const auto* questions = std::get_if<std::vector<Question>>(&entries)) {
        handle(*questions, sender);
    } else if (auto* gone = std::get_if<std::vector<Gone>>(&entries)) {
        hand_on(std::move(*gone), sender);
    } else if (auto* seen = std::get_if<std::vector<GoneSeen>>(&entries)) {
        if (first_ != nullptr)
            handle(*seen, sender); // each thread withdraws the labels that it told
        hand_on(std::move(*seen), sender);
    }
}

// Hands on to the first thread, which may be this one.
template<typename Entry>
void Service::hand_on(std::vector<Entry> entries, const Sender& sender) {
    if (first_ == nullptr)
        return handle(entries, sender);
    first_->mailbox_.post(
        [first = first_, entries = std::move(entries), sender] { first->handle(entries, sender); });
}

// Tells the peer our version, so that both nodes can log the difference.
void Service::answer_version(const Received& received) {
    const auto now = Clock::now();
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

void Service::handle(const std::vector<Question>& questions, const Sender& sender) {
    std::vector<Question> of_tcp;
    std::vector<Question> others;
    for (const auto& question : questions) {
        // A peer is told only of flows between the two addresses of its question: flows that begin
        // here, and end at the asker.
        if (!terms_->came_between(sender.path, question.flow.destination.address,
                                  question.flow.source.address))
            shared_.counters.rejections.add(Rejection::not_theirs);
        else
            (question.flow.protocol == Protocol::tcp ? of_tcp : others).push_back(question);
    }
    if (!of_tcp.empty())
        answer(of_tcp, sender);
    if (others.empty())
        return;
    if (first_ == nullptr)
        return answer_others(std::move(others), sender);
    first_->mailbox_.post([first = first_, others = std::move(others), sender]() mutable {
        first->answer_others(std::move(others), sender);
    });
}

// Questions about RDMA and UDP, which only the first thread answers.
void Service::answer_others(std::vector<Question> others, const Sender& sender) {
    std::vector<Question> of_udp;
    for (auto& question : others) {
        if (question.flow.protocol == Protocol::rdma)
            ask_rdma(question, sender);
        else
            of_udp.push_back(std::move(question));
    }
    if (!of_udp.empty())
        answer_sent(std::move(of_udp), sender);
}

void Service::answer(const std::vector<Question>& questions, const Sender& sender) {
    std::vector<OwnerLookup::Wanted> wanted;
    for (const auto& question : questions)
        wanted.push_back({question.flow, sender.interface, false, true});
    std::vector<OwnerLookup::Ends> ends;
    lookup_.find(wanted, ends);
    std::vector<Answer> answers;
    for (std::size_t i = 0; i < questions.size(); ++i) {
        const auto& question = questions[i];
        const auto& found = ends[i].sender;
        const bool maybe_translated =
            !found && found.error() == LookupError::none && question.flow.protocol == Protocol::tcp;
        if (!maybe_translated || !look_behind(question, sender))
            answers.push_back(answer_of(question, found, sender));
    }
    send(sender, std::move(answers));
}

Answer Service::answer_of(const Question& question, const OwnerLookup::Found& found,
                          const Sender& sender) {
    if (auto owner = owner_of(question, found, sender))
        return {question.nonce, std::move(*owner)};
    return investigate(question, *found, sender);
}

// No socket has the flow. Perhaps this node translates it (NAT). Then a local socket may have the
// untranslated flow, or the node forwards another host's. False if too many such questions wait.
bool Service::look_behind(const Question& question, const Sender& sender) {
    return shared_.sent_flows.find_original(question.flow, [this, question,
                                                            sender](std::optional<Flow> original) {
        mailbox_.post([this, question, sender, original] {
            Answer answer{question.nonce, Owner{}};
            if (original && interface_of(original->source.address))
                answer = answer_of(question, lookup_.sender(*original, sender.interface), sender);
            else if (original)
                answer.owner = Owner::translated();
            send(sender, std::vector{std::move(answer)});
        });
    });
}

// A UDP port, unlike a connected TCP socket, does not prove that its owner has sent to the peer. So
// a datagram that this node has not sent has no owner here.
void Service::answer_sent(std::vector<Question> questions, const Sender& sender) {
    std::vector<Flow> flows;
    for (const auto& question : questions)
        flows.push_back(question.flow);
    // If there is no room, the peer asks again.
    static_cast<void>(
        shared_.sent_flows.find(std::move(flows), [this, questions = std::move(questions),
                                                   sender](const std::vector<bool>& was_sent) {
            mailbox_.post([this, questions, sender, was_sent] {
                std::vector<Question> sent;
                std::vector<Answer> unknown;
                for (std::size_t i = 0; i < questions.size(); ++i)
                    if (was_sent[i])
                        sent.push_back(questions[i]);
                    else
                        unknown.push_back({questions[i].nonce, Owner{}});
                shared_.counters.no_evidence.add(unknown.size());
                if (!sent.empty())
                    answer(sent, sender);
                send(sender, std::move(unknown));
            });
        }));
}

// Nothing if the uid doesn't suffice.
std::optional<Owner> Service::owner_of(const Question& question, const OwnerLookup::Found& found,
                                       const Sender& sender) {
    if (!found)
        return found.error() == LookupError::ambiguous ? Owner::shared() : Owner{};
    shared_.counters.methods.add(Method::socket);
    if (question.flow.protocol == Protocol::udp)
        shared_.counters.told_forgotten.add(told_.add(found->socket.cookie, found->owner.uid,
                                                      question.flow, sender.path.reversed(),
                                                      sender.interface));
    if (found->owner.kind != OwnerKind::user || question.same_as == found->owner.uid)
        return found->owner;
    return std::nullopt;
}

// The peer is not notified of the end of such a connection: its own watcher looks again.
void Service::ask_rdma(const Question& question, const Sender& sender) {
    if (!find_rdma_)
        return;
    find_rdma_(question.flow, [this, nonce = question.nonce, sender](Owner owner) {
        mailbox_.post([this, nonce, sender, owner = std::move(owner)] {
            send(sender, std::vector<Answer>{{nonce, owner}});
        });
    });
}

namespace {

// A group that stands first is among those that fit into an answer.
void put_first(std::optional<Gid> group, Owner& owner) {
    if (!group || !owner.credentials)
        return;
    auto& groups = owner.credentials->groups;
    if (const auto found = std::ranges::find(groups, *group); found != groups.end())
        std::iter_swap(groups.begin(), found);
}

} // namespace

// Answers with the uid at once, if the credentials take a search.
Answer Service::investigate(const Question& question, const SocketOwner& found,
                            const Sender& sender) {
    if (auto owner = shared_.investigator.known(found, question.role)) {
        remember_labels(question, found.socket.cookie, *owner, sender);
        put_first(question.group, *owner);
        return {question.nonce, std::move(*owner)};
    }
    const auto deadline = Clock::now() + std::max(deadline_ - travel, deadline_ / 2);
    const bool follows = search(question, found, sender, deadline);
    return {question.nonce, found.owner, follows ? Part::uid : Part::busy};
}

// Whether a search is under way, whose answer follows. A retransmitted question begins no other.
bool Service::search(const Question& question, const SocketOwner& found, const Sender& sender,
                     TimePoint deadline) {
    const std::tuple key{sender.path.from.address, sender.channel, question.nonce};
    if (searches_.contains(key))
        return true;
    const auto then = shared_.investigator.changes().now();
    const bool begun = shared_.investigator.find(
        found, question.role, deadline, [=, this](Owner owner, bool in_time) {
            mailbox_.post([=, this, owner = std::move(owner)]() mutable {
                searches_.erase(key);
                // The labels of the user's processes may have changed meanwhile.
                const bool stale = shared_.investigator.changes().since(then, owner.uid);
                if (stale && in_time && search(question, found, sender, deadline))
                    return;
                if (!stale && in_time)
                    remember_labels(question, found.socket.cookie, owner, sender);
                put_first(question.group, owner);
                ready_.push_back({sender,
                                  {question.nonce, stale ? found.owner : std::move(owner),
                                   stale || !in_time ? Part::busy : Part::whole}});
            });
        });
    if (begun)
        searches_.insert(key);
    return begun;
}

void Service::remember_labels(const Question& question, Cookie cookie, const Owner& owner,
                              const Sender& sender) {
    if (owner.credentials && !owner.credentials->labels.empty())
        shared_.counters.told_forgotten.add(told_.add_labelled(cookie, owner.uid, question.flow,
                                                               sender.path.reversed(),
                                                               sender.interface, Clock::now()));
}

void Service::send_ready() {
    const auto way = [](const Ready& ready) {
        return std::tie(ready.to.path.from, ready.to.path.to, ready.to.interface, ready.to.channel);
    };
    each_group(ready_, way, [this](auto group) {
        std::vector<Answer> answers;
        for (auto& ready : group)
            answers.push_back(std::move(ready.answer));
        send(group.front().to, std::move(answers));
    });
    ready_.clear();
}

void Service::send(const Sender& to, Entries entries) {
    if (const auto* answers = std::get_if<std::vector<Answer>>(&entries))
        for (const auto& answer : *answers) {
            if (answer.part != Part::uid)
                shared_.counters.answered.add();
            if (answer.part == Part::busy)
                shared_.counters.answered_busy.add();
        }
    const Datagram datagram{to.channel, Channel::service, wall_clock(), std::move(entries)};
    const auto count = std::visit([](const auto& all) { return all.size(); }, datagram.entries);
    const Path path = to.path.reversed();
    std::array<std::uint8_t, max_datagram> buffer;
    for (std::size_t first = 0; first < count;) {
        const auto bytes = encode(buffer, datagram, first, path, terms_->keys.current);
        // If it can't be sent, the peer asks again, or the notice is retransmitted.
        if (is_want_of_room(socket_.send(path, to.interface, bytes)))
            shared_.counters.not_sent.add();
    }
}

} // namespace ubf::ident
