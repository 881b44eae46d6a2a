// ubf-portal put together: portals ask at its socket over HTTP, and the desk finds the answers.
#pragma once

#include "daemon/core/event_loop.hpp"
#include "daemon/core/logged_loading.hpp"
#include "daemon/core/mailbox.hpp"
#include "daemon/core/plain_log.hpp"
#include "daemon/portal/desk.hpp"
#include "daemon/portal/http_server.hpp"
#include "daemon/portal/listener.hpp"
#include "daemon/portal/settings.hpp"

#include <filesystem>
#include <string>

namespace ubf::portal {

class Service {
  public:
    // Throws ConfigError, std::system_error or std::runtime_error.
    Service(EventLoop& loop, const std::filesystem::path& file);

    void reload() { loading_.begin(); }
    // After each round of the event loop. Returns when it wants the next. Throws std::runtime_error
    // if the socket's file is gone, which a restart mends.
    TimePoint go_on(TimePoint now);
    std::string summary() const;

  private:
    Service(EventLoop& loop, const std::filesystem::path& file, const Settings& settings);
    void take(Settings settings);

    const std::filesystem::path socket_;
    PlainLog log_{"ubf-portal"};
    Mailbox mailbox_;
    Listener listener_;
    HttpServer server_;
    Desk desk_;
    LoggedLoading loading_;
    TimePoint next_look_{};
};

} // namespace ubf::portal
