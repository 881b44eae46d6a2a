// `ubfctl explain` at the connector's node: the listener's node decides, and is asked.
#pragma once

#include "daemon/control/server.hpp"
#include "daemon/gate/rules.hpp"
#include "daemon/ident/inquiries.hpp"
#include "daemon/ident/peer_table.hpp"
#include "daemon/owners/sockets.hpp"
#include "daemon/owners/user_cache.hpp"

#include <chrono>
#include <functional>
#include <memory>
#include <optional>

namespace ubf {

class RemoteExplainer {
  public:
    using Json = ControlServer::Json;
    // Calls `heard` once, on the thread of the caller.
    using Ask = std::function<void(const Flow&, std::optional<Uid> as, std::chrono::milliseconds,
                                   ident::Inquiries::Heard heard)>;

    RemoteExplainer(Ask ask, Sockets& sockets, PeerTable& peers, UserCache& users)
      : ask_(std::move(ask))
      , sockets_(sockets)
      , peers_(peers)
      , users_(users) {}

    // False: the flow is none that ends at another node.
    bool explain(const Json& request, const Rules& rules, const ControlServer::Reply& reply);

  private:
    Json to_json(const Flow& flow, const ident::Decision& decision);
    Json no_answer(const Flow& flow, const ident::Terms& terms, std::chrono::milliseconds waited);

    Ask ask_;
    Sockets& sockets_;
    PeerTable& peers_;
    UserCache& users_;
};

} // namespace ubf
