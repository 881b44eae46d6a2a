// Those who answer requests on the control sockets: root's, every user's, and that of portals.
#pragma once

#include "config/config.hpp"
#include "daemon/control/commands.hpp"
#include "daemon/control/explain.hpp"
#include "daemon/control/refusal_desk.hpp"
#include "daemon/control/remote_explainer.hpp"
#include "daemon/control/server.hpp"
#include "daemon/core/event_loop.hpp"
#include "daemon/core/loading.hpp"
#include "daemon/exception_desk.hpp"
#include "daemon/portals.hpp"

#include <memory>
#include <utility>

namespace ubf {

class Desks {
  public:
    Desks(std::unique_ptr<Explainer> explainer, RemoteExplainer remote, RefusalDesk refusals,
          ExceptionDesk exceptions, std::unique_ptr<Loading> loading)
      : explainer_(std::move(explainer))
      , remote_(std::move(remote))
      , refusals_(refusals)
      , exceptions_(std::move(exceptions))
      , loading_(std::move(loading)) {}

    Commands& commands() { return commands_; }
    Commands& user_commands() { return user_commands_; }
    // Opens the sockets. Throws as ControlServer().
    void open(EventLoop& loop, const Config::Control& config) {
        server_ =
            std::make_unique<ControlServer>(loop, config.socket, ControlServer::For::root,
                                            [this](const auto& request, Uid user, auto reply) {
                                                commands_.handle(request, user, reply);
                                            });
        if (!config.user_socket.empty())
            user_server_ = std::make_unique<ControlServer>(
                loop, config.user_socket, ControlServer::For::everybody,
                [this](const auto& request, Uid user, auto reply) {
                    user_commands_.handle(request, user, reply);
                });
    }

    void open_portals(std::unique_ptr<Portals> portals) { portals_ = std::move(portals); }

    Explainer& explainer() { return *explainer_; }
    RemoteExplainer& remote_explainer() { return remote_; }
    const RefusalDesk& refusals() const { return refusals_; }
    ExceptionDesk& exceptions() { return exceptions_; }
    Loading& loading() { return *loading_; }
    Portals& portals() { return *portals_; }

  private:
    std::unique_ptr<Explainer> explainer_;
    RemoteExplainer remote_;
    RefusalDesk refusals_;
    ExceptionDesk exceptions_;
    std::unique_ptr<Loading> loading_;
    Commands commands_;
    Commands user_commands_; // that every user may give
    std::unique_ptr<ControlServer> server_;
    std::unique_ptr<ControlServer> user_server_;
    std::unique_ptr<Portals> portals_;
};

} // namespace ubf
