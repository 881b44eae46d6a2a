// Answers requests for refusals: the administrator sees all, a user those of his own flows. If both
// ends have groups in common, those are named by which the policy would let the flow in.
#pragma once

#include "base/json.hpp"
#include "daemon/control/server.hpp"
#include "daemon/log/refusals.hpp"
#include "policy/policy.hpp"

namespace ubf {

class RefusalDesk {
  public:
    using Json = ControlServer::Json;

    explicit RefusalDesk(const Refusals& refusals)
      : refusals_(refusals) {}

    // All, or those of a user ("user", a uid), with an id ("id"), or since a time ("since_ms").
    Json list(const Json& request, const Policy& policy) const;
    // The asker's own, as connector and as listener's owner. reveal: who the other end's user is.
    Json why(const Json& request, Uid asker, bool reveal, const Policy& policy) const;

  private:
    const Refusals& refusals_;
};

} // namespace ubf
