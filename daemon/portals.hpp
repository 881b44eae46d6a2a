// The web portals of this node: the socket at which ubf-portal asks for them, and the desk that
// answers. By notices, the tickets learn that a socket is gone. There are none while portal.users
// is empty.
#pragma once

#include "config/config.hpp"
#include "config/scope.hpp"
#include "daemon/control/server.hpp"
#include "daemon/core/counters.hpp"
#include "daemon/ident/asker.hpp"
#include "daemon/log/log.hpp"
#include "daemon/main_loop.hpp"
#include "daemon/node_owners.hpp"
#include "daemon/tickets/kept_bearers.hpp"
#include "daemon/tickets/portal_desk.hpp"
#include "netlink/destroy_notices.hpp"

#include <memory>
#include <optional>
#include <vector>

namespace ubf {

class Portals {
  public:
    struct Parts {
        MainLoop& main;
        NodeOwners& owners;
        ident::Asker& asker; // nobody else uses it
        PeerTable& peers;
        Counters& counters;
        Log& log;
    };
    Portals(Parts parts, const Config& config, const std::shared_ptr<const Rules>& rules,
            Scope scope);
    ~Portals();

    void set(const Config& config, const std::shared_ptr<const Rules>& rules, Scope scope);
    // By the loop.
    std::optional<TimePoint> next() const;
    void on_time(TimePoint now);

  private:
    void open(const Config& config);
    void close();
    void notice_destroyed();
    void listen_again(TimePoint now);

    const Parts parts_;
    PortalDesk desk_;
    DestroyNotices notices_{DestroyNotices::Of::tcp};
    std::vector<Cookie> gone_;             // kept for its room
    std::optional<TimePoint> quiet_until_; // the notices are left alone until then
    std::optional<KeptBearers> kept_;
    std::unique_ptr<ControlServer> server_;
};

} // namespace ubf
