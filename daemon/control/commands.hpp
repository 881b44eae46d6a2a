// The commands of a control socket, by their names.
#pragma once

#include "daemon/control/server.hpp"

#include <string>
#include <utility>
#include <vector>

namespace ubf {

class Commands {
  public:
    void add(std::string name, ControlServer::Handler handler);
    // Hands the request to its command. If there is none, the reply lists those that there are.
    void handle(const ControlServer::Json& request, Uid asker,
                const ControlServer::Reply& reply) const;

  private:
    std::string names() const;

    std::vector<std::pair<std::string, ControlServer::Handler>> commands_;
};

} // namespace ubf
