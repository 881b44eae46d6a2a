// `ubfctl explain`: who owns each end of a flow, step by step, and what the verdict would be.
#pragma once

#include "daemon/control/server.hpp"
#include "daemon/gate/worker.hpp"
#include "daemon/recognition/terms.hpp"

#include <memory>
#include <unordered_map>

namespace ubf {

class Explainer {
  public:
    using Json = ControlServer::Json;

    struct Scope {
        std::vector<PortRange> ports;
        std::vector<ProtocolPorts> exempt_ports;
    };
    struct Scopes {
        Scope ethernet;
        std::optional<Scope> fabric; // none: its interfaces are like all others
    };

    Explainer(EventLoop& loop, ident::Asker& asker, std::shared_ptr<const Rules> rules,
              Scopes scopes, Shared shared, UserCache& users, const RecognitionTerms& recognised);

    // request: from, to, protocol, as text.
    void explain(const Json& request, const ControlServer::Reply& reply);
    void set_rules(std::shared_ptr<const Rules> rules, Scopes scopes);
    // By the loop.
    std::optional<TimePoint> next() const { return asker_.next(); }
    void on_time(TimePoint now);

  private:
    struct Question {
        Json steps = Json::array();
        SocketOwner listener;
        bool fabric = false; // the flow comes in over it
        std::optional<Label> partition{};
        ControlServer::Reply reply;
    };

    void add_fabric(Question& question, std::uint32_t interface);
    std::optional<std::string> out_of_scope(const Flow& flow, bool fabric) const;
    void add_sharing(SocketOwner& listener, const Flow& flow, std::uint32_t interface);
    void add_credentials(const SocketOwner& socket, Owner& owner, ident::Role role);
    void answered(const Flow& flow, ident::Asker::Heard heard, const Owner& owner);
    void conclude(const Flow& flow, Question question, Owner connector);
    std::string describe(const Owner& owner);
    Json to_json(const Owner& owner);

    std::shared_ptr<const Rules> rules_;
    Scopes scopes_;
    Links links_;
    Shared shared_;
    UserCache& users_;
    const RecognitionTerms& recognised_; // by the kernel
    OwnerLookup lookup_;
    ident::Asker& asker_;
    std::unordered_map<Flow, Question> questions_;
};

} // namespace ubf
