// `ubfctl explain`: who owns each end of a flow, step by step, and what the verdict would be.
#pragma once

#include "config/scope.hpp"
#include "daemon/control/server.hpp"
#include "daemon/core/event_loop.hpp"
#include "daemon/gate/rules.hpp"
#include "daemon/gate/shared.hpp"
#include "daemon/ident/peers.hpp"
#include "daemon/owners/sockets.hpp"
#include "daemon/owners/user_cache.hpp"
#include "daemon/recognition/terms.hpp"
#include "policy/inquiry.hpp"

#include <chrono>
#include <functional>
#include <memory>
#include <unordered_map>

namespace ubf {

class Explainer {
  public:
    using Json = ControlServer::Json;

    // asker: nobody else uses it.
    Explainer(ident::Peers& asker, std::shared_ptr<const Rules> rules, Scope scope,
              Sockets& sockets, const Shared& shared, UserCache& users,
              const RecognitionTerms& recognised);

    // request: from, to, protocol, as text. as: a uid, that of a connector who is supposed to be
    // there.
    void explain(const Json& request, const ControlServer::Reply& reply);
    // For a peer, which is told the decision alone. `decided` is called once.
    using Decided = std::function<void(const ident::Decision&)>;
    void decide(const ident::Inquiry& inquiry, Decided decided);
    void set_rules(std::shared_ptr<const Rules> rules, Scope scope);
    // By the loop.
    std::optional<TimePoint> next() const { return asker_.next(); }
    void on_time(TimePoint now);

  private:
    struct Question {
        Facts facts;
        Json steps = Json::array();
        std::uint32_t interface = 0;         // over which the flow comes in
        bool fabric = false;                 // that is of the fabric
        SocketOwner destination{};           // as it was looked up; facts has what is known
        std::optional<SocketOwner> source{}; // the same, when it is on this node too
        std::string asked{};                 // how the connector is found
        std::string unheard{};               // why it was not
        bool unwatched = false;              // out of scope
        ControlServer::Reply reply{};
        Decided decided{}; // set: a peer asks
    };

    void begin(Question question, std::uint32_t arrives_at, std::optional<Uid> as);
    bool add_fabric(Question& question);
    std::optional<std::string> out_of_scope(const Question& question) const;
    void place(Question& question, bool source_here);
    void suppose(Question& question, Uid connector);
    static std::chrono::milliseconds patience(const Question& question);
    // Carries out the steps of the inquiry as the gate does, until a peer is asked.
    void go_on(Question question);
    enum class Fact : bool { known, comes_later };
    Fact find(Question& question, Need need);
    void find_destination(Question& question);
    void find_source(Question& question);
    Fact ask(Question& question, std::optional<Gid> group = {});
    void find_credentials(Question& question);
    void find_sharers(Question& question);
    void find_the_rest(Question& question);
    Owner with_credentials(const SocketOwner& socket, const Owner& owner, ident::Role role,
                           TimePoint deadline);
    void answered(const Flow& flow, ident::Peers::Heard heard, const Owner& owner);
    void conclude(Question question, Reason reason);
    static ident::Decision to_decision(const Question& question, Reason reason, bool observed);
    void show(Question question, Reason reason, bool observed);

    std::shared_ptr<const Rules> rules_;
    Scope scope_;
    Sockets& sockets_;
    Shared shared_;
    UserCache& users_;
    const RecognitionTerms& recognised_; // by the kernel
    ident::Peers& asker_;
    std::unordered_map<Flow, Question> questions_;
};

} // namespace ubf
