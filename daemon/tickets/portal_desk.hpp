// Answers web portals: may this user connect there? The policy decides with the user as connector,
// as the gate will, and a ticket remembers who may. All is called by the main thread, and nothing
// here waits: the user database, the listener's node and searches answer later.
#pragma once

#include "base/lately.hpp"
#include "config/config.hpp"
#include "config/scope.hpp"
#include "daemon/core/counters.hpp"
#include "daemon/core/event_loop.hpp"
#include "daemon/gate/rules.hpp"
#include "daemon/ident/peer_table.hpp"
#include "daemon/ident/peers.hpp"
#include "daemon/log/reporter.hpp"
#include "daemon/owners/owners.hpp"
#include "daemon/owners/sockets.hpp"
#include "daemon/owners/user_cache.hpp"
#include "daemon/tickets/portal_question.hpp"
#include "daemon/tickets/tickets.hpp"

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <unordered_map>
#include <vector>

namespace ubf {

class PortalDesk {
  public:
    using Json = nlohmann::ordered_json;
    using Reply = std::function<void(Json)>;

    // Facts and threads that others have.
    struct Ways {
        // Nothing if the user is not known without a question.
        std::function<std::optional<UserCache::User>(const std::string&)> known_user;
        std::function<bool(std::string, UserCache::Done)> find_user;
        std::function<Owner(const UserCache::User&, Uid via, const Process&)> owner_of;
        // From which address of this node a connection to there would begin.
        std::function<std::optional<Address>(const Address&)> source_to;
        std::function<void(std::function<void()>)> post; // to this thread, from any
        ReadClock clock = Clock::now; // for each step of a question, since steps wait
    };
    struct Parts {
        ident::Peers& asker; // nobody else uses it
        PeerTable& peers;
        Sockets& sockets;
        Owners& owners;
        Tickets& tickets;
        PortalCounters& counters;
        Reporter& log;
    };
    struct Terms {
        std::shared_ptr<const Rules> rules;
        Portal portal;
        Scope scope;
        PortalTargets targets;
    };

    PortalDesk(Parts parts, Ways ways, Terms terms);

    void set_terms(Terms terms);
    // request: {"may": {...}, "id": n}. The reply has the same id; replies come in any order.
    void answer(const Json& request, const Reply& reply);
    // By the loop.
    std::optional<TimePoint> next() const;
    void on_time(TimePoint now);

    static constexpr std::size_t most_open = 1024;
    static constexpr std::size_t most_open_of_one = 256; // user: silent nodes hold up nobody else

  private:
    using Number = std::uint64_t;
    struct Open {
        PortalQuestion question;
        Json id;
        Reply reply;
        TimePoint deadline;
        TargetPlace place{};
        Owner connector{};
        Flow flow{}; // as the listener's node will see it; the connector's port is not known
    };

    // A portal's program, and the way to a target: for these, the kernel is asked.
    struct Way {
        bool here = false;               // the target is this node
        std::optional<Address> source{}; // from which a connection to there would begin
    };
    struct Found {
        Lately<Address, Way> ways;
        Lately<Pid, std::string> programs;
        Lately<Flow, Owner> listeners; // on other nodes. They may allow; to deny, the node is asked
    };

    Number keep(Open open);
    const Way& way_to(const Address& target);
    std::optional<Open> take(Number number);
    std::optional<Objection> check(const PortalQuestion& question, TargetPlace& place);
    Process program_of(const PortalQuestion& question);
    void found_user(Number number, const std::optional<UserCache::User>& user);
    void find_listener(Number number, Open& open);
    void find_here(Number number, const Open& open);
    void ask_node(Number number, const Open& open);
    bool is_away(const Address& peer, TimePoint now) const;
    void heard(const Flow& flow, ident::Peers::Heard heard, const Owner& owner, TimePoint now);
    // Nothing for want of credentials.
    std::optional<Reason> judge(const Open& open, const Owner& listener, bool in_time) const;
    void found_listener(Number number, const Owner& listener, bool in_time);
    void conclude(Number number, const Owner& listener, Reason reason);
    void refuse(Open& open, Objection objection);
    void refuse(Number number, Objection objection);
    void note_silence(const Address& peer, TimePoint asked, TimePoint now);
    void name_unwilling(const Address& address);
    bool is_observed(const Open& open) const;
    const Policy& policy_of(const Open& open) const;

    Parts parts_;
    const Ways ways_;
    Terms terms_;
    std::map<Number, Open> open_;                // by number, the oldest first
    std::map<std::string, std::size_t> open_of_; // their number, by user
    Number last_number_ = 0;
    struct Waiting {
        TimePoint since; // the node was asked
        std::vector<Number> numbers;
    };
    std::unordered_map<Flow, Waiting> asked_; // of listeners' nodes
    Found found_;
    std::set<Address> unwilling_; // nodes that don't say who listens there, and were named
};

} // namespace ubf
