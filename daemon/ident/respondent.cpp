#include "daemon/ident/respondent.hpp"

#include "base/groups.hpp"

#include <algorithm>

namespace ubf::ident {
namespace {

// An answer that waits for a search must still reach the asker before its deadline.
constexpr Milliseconds travel{100};

} // namespace

Respondent::Respondent(Sockets& sockets, Owners& owners, ToldFlows& told, Counters& counters,
                       Mailbox& mailbox, Milliseconds deadline, Ways ways)
  : sockets_(sockets)
  , owners_(owners)
  , told_(told)
  , counters_(counters)
  , mailbox_(mailbox)
  , deadline_(deadline)
  , ways_(std::move(ways)) {}

void Respondent::answer(const std::vector<Question>& questions, const Sender& sender,
                        TimePoint now) {
    std::vector<OwnerLookup::Wanted> wanted;
    wanted.reserve(questions.size());
    for (const auto& question : questions)
        wanted.push_back({question.flow, sender.interface, false, true});
    std::vector<OwnerLookup::Ends> ends;
    sockets_.find(wanted, ends);
    std::vector<Answer> answers;
    for (std::size_t i = 0; i < questions.size(); ++i) {
        const auto& question = questions[i];
        const auto& found = ends[i].sender;
        const bool maybe_translated =
            !found && found.error() == LookupError::none && question.flow.protocol == Protocol::tcp;
        if (maybe_translated && look_behind(question, sender))
            continue;
        if (auto answer = answer_of(question, found, sender, now))
            answers.push_back(std::move(*answer));
    }
    ways_.send(sender, std::move(answers));
}

void Respondent::answer_listeners(const std::vector<Question>& questions, const Sender& sender,
                                  TimePoint now) {
    std::vector<Answer> answers;
    answers.reserve(questions.size());
    for (const auto& question : questions)
        if (auto answer = listener_at(question, sender, now))
            answers.push_back(std::move(*answer));
    counters_.ident.listeners.answered.add(questions.size());
    ways_.send(sender, std::move(answers));
}

// As a gate would find it for a SYN. Empty credentials say that nobody listens; an older ubfd,
// which doesn't know such questions, answers without.
std::optional<Answer> Respondent::listener_at(const Question& question, const Sender& sender,
                                              TimePoint now) {
    const auto& place = question.flow.source;
    auto found = sockets_.listener(place, sender.interface);
    if (!found && found.error() == LookupError::none)
        return Answer{question.nonce, {OwnerKind::unknown, {}, Credentials{}}};
    if (found && owners_.may_share(place.port) &&
        sockets_.add_sharing(*found, question.flow.reversed(), sender.interface))
        found = fail(LookupError::ambiguous);
    return answer_of(question, found, sender, now);
}

std::optional<Answer> Respondent::answer_of(const Question& question,
                                            const OwnerLookup::Found& found, const Sender& sender,
                                            TimePoint now) {
    if (auto owner = owner_of(question, found, sender))
        return Answer{question.nonce, std::move(*owner)};
    return investigate(question, *found, sender, now);
}

// No socket has the flow. Perhaps this node translates it (NAT). Then a local socket may have the
// untranslated flow, or the node forwards another host's. False if too many such questions wait.
bool Respondent::look_behind(const Question& question, const Sender& sender) {
    return ways_.find_original(
        sender.path.from.address, question.flow,
        [this, question, sender](std::optional<Flow> original) {
            mailbox_.post([this, question, sender, original] {
                std::optional<Answer> answer = Answer{question.nonce, Owner{}};
                if (original && sockets_.interface_of(original->source.address))
                    answer = answer_of(question, sockets_.sender(*original, sender.interface),
                                       sender, ways_.clock());
                else if (original)
                    answer->owner = Owner::translated();
                if (answer)
                    ways_.send(sender, std::vector{std::move(*answer)});
            });
        });
}

// Nothing if the uid doesn't suffice.
std::optional<Owner> Respondent::owner_of(const Question& question, const OwnerLookup::Found& found,
                                          const Sender& sender) {
    if (!found)
        return found.error() == LookupError::ambiguous ? Owner::shared() : Owner{};
    counters_.owners.methods.add(Method::socket);
    if (question.flow.protocol == Protocol::udp)
        counters_.ident.told_forgotten.add(told_.add(found->socket.cookie, found->owner.uid,
                                                     question.flow, sender.path.reversed(),
                                                     sender.interface));
    // With credentials, the asker learns of the portal.
    if (found->owner.kind != OwnerKind::user ||
        (question.same_as == found->owner.uid && !found->owner.via))
        return found->owner;
    return std::nullopt;
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

// An owner without credentials carries no portal over the wire.
Owner with_portal(Owner owner) {
    if (owner.via && !owner.credentials)
        owner.credentials.emplace().method = Method::portal;
    return owner;
}

} // namespace

// Answers with the uid at once, if the credentials take a search. But the asker must learn of a
// portal, which only credentials tell.
std::optional<Answer> Respondent::investigate(const Question& question, const SocketOwner& found,
                                              const Sender& sender, TimePoint now) {
    if (auto owner = owners_.known(found, question.role)) {
        remember_labels(question, found.socket.cookie, *owner, sender, now);
        put_first(question.group, *owner);
        return Answer{question.nonce, std::move(*owner)};
    }
    const auto deadline = now + std::max(deadline_ - travel, deadline_ / 2);
    const bool follows = search(question, found, sender, deadline);
    if (follows && found.owner.via)
        return std::nullopt;
    return Answer{question.nonce, with_portal(found.owner), follows ? Part::uid : Part::busy};
}

// Whether a search is under way, whose answer follows. A retransmitted question begins no other.
bool Respondent::search(const Question& question, const SocketOwner& found, const Sender& sender,
                        TimePoint deadline) {
    const std::tuple key{sender.path.from.address, sender.channel, question.nonce};
    if (searches_.contains(key))
        return true;
    const auto then = owners_.changes().now();
    const bool begun =
        owners_.find(found, question.role, deadline, [=, this](Owner owner, bool in_time) {
            mailbox_.post([=, this, owner = std::move(owner)]() mutable {
                searches_.erase(key);
                // The labels of the user's processes may have changed meanwhile.
                const bool stale = owners_.changes().since(then, owner.uid);
                if (stale && in_time && search(question, found, sender, deadline))
                    return;
                if (!stale && in_time)
                    remember_labels(question, found.socket.cookie, owner, sender, ways_.clock());
                put_first(question.group, owner);
                ready_.push_back({sender,
                                  {question.nonce, with_portal(stale ? found.owner : owner),
                                   stale || !in_time ? Part::busy : Part::whole}});
            });
        });
    if (begun)
        searches_.insert(key);
    return begun;
}

void Respondent::remember_labels(const Question& question, Cookie cookie, const Owner& owner,
                                 const Sender& sender, TimePoint now) {
    const bool waits = question.role == Role::connector || question.flow.protocol != Protocol::tcp;
    if (waits && owner.credentials && !owner.credentials->labels.empty())
        counters_.ident.told_forgotten.add(told_.add_labelled(
            cookie, owner.uid, question.flow, sender.path.reversed(), sender.interface, now));
}

void Respondent::send_ready() {
    const auto way = [](const Ready& ready) {
        return std::tie(ready.to.path.from, ready.to.path.to, ready.to.interface, ready.to.channel);
    };
    each_group(ready_, way, [this](auto group) {
        std::vector<Answer> answers;
        for (auto& ready : group)
            answers.push_back(std::move(ready.answer));
        ways_.send(group.front().to, std::move(answers));
    });
    ready_.clear();
}

} // namespace ubf::ident
