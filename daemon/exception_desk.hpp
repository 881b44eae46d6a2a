// Makes and ends the exceptions of an administrator (`ubfctl allow`), on the main thread.
#pragma once

#include "daemon/control/server.hpp"
#include "daemon/log/log.hpp"
#include "daemon/temporary_exceptions.hpp"

#include <functional>
#include <utility>

namespace ubf {

class ExceptionDesk {
  public:
    using Json = ControlServer::Json;

    // changed: the exceptions are others than before.
    ExceptionDesk(TemporaryExceptions& exceptions, Log& log, std::function<void()> changed)
      : exceptions_(exceptions)
      , log_(log)
      , changed_(std::move(changed)) {}

    // "for_s" seconds from now, or "remove"; or the list alone.
    Json allow(const Json& request);
    // Ends those that are over.
    void look();

  private:
    void change();

    TemporaryExceptions& exceptions_;
    Log& log_;
    std::function<void()> changed_;
};

} // namespace ubf
