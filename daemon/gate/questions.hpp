// A worker's questions to peers about the sources of its cases: who is asked, how many may be open,
// and what the silence of a peer means.
#pragma once

#include "daemon/gate/case.hpp"
#include "daemon/gate/open_questions.hpp"
#include "daemon/gate/rules.hpp"
#include "daemon/gate/shared.hpp"
#include "daemon/ident/peers.hpp"

#include <memory>
#include <optional>

namespace ubf {

class Questions {
  public:
    using Heard = ident::Peers::Heard;

    // asker: nobody else uses it.
    Questions(ident::Peers& asker, std::shared_ptr<const Rules> rules, const Shared& shared);

    void set_rules(std::shared_ptr<const Rules> rules);
    ident::Peers& asker() { return asker_; }
    bool is_pressed() const { return asker_.is_pressed(); } // too many are open to ask more
    std::optional<TimePoint> next() const { return asker_.next(); }

    // Sent: the answer comes later. Otherwise PeerAnswer::missing says why nothing was asked; and
    // the case of `gave_way`, if there is one, is over.
    struct Sent {
        bool yes = false;
        std::optional<Flow> gave_way{};
    };
    // The owner of the case's source; with a group, only whether it is in that.
    Sent ask(Case& item, std::optional<Gid> group, TimePoint now);
    // The packet is judged already; nobody needs the answer.
    void withdraw(Case& item);
    // The peer has named the user, and looks for the rest: the question counts for them from now
    // on. Returns a question that is over for that, perhaps this one.
    std::optional<Flow> name(const Flow& flow, Uid uid);
    // Notes in the case how the question ended. The owner is the caller's to note.
    void answered(Case& item, Heard heard, const Owner& owner, TimePoint now);
    void end(const Flow& flow) { open_.end(flow); }

  private:
    std::optional<Flow> send(Case& item, std::optional<Uid> same_as, std::optional<Gid> group,
                             TimePoint now);
    Address peer_of(const Case& item) const;
    bool is_silent(const Case& item, TimePoint now) const;
    Reason silence_of(const Case& item) const;
    void ask_in_passing(const Case& item, TimePoint now);

    ident::Peers& asker_;
    std::shared_ptr<const Rules> rules_;
    Shared shared_;
    OpenQuestions open_;
};

// Not found in time is not a no: the next packet asks again. A flow that was allowed goes on for
// now, but not for ever.
Reason for_want_of_time(const Case& item);

} // namespace ubf
