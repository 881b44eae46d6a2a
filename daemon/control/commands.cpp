#include "daemon/control/commands.hpp"

#include "base/json.hpp"

#include <fmt/format.h>

namespace ubf {

void Commands::add(std::string name, ControlServer::Handler handler) {
    commands_.emplace_back(std::move(name), std::move(handler));
}

void Commands::handle(const ControlServer::Json& request, Uid asker,
                      const ControlServer::Reply& reply) const {
    const auto wanted = text_of(request, "command");
    for (const auto& [name, handler] : commands_)
        if (name == wanted)
            return handler(request, asker, reply);
    reply({{"ok", false}, {"error", fmt::format("unknown command; {}", names())}});
}

std::string Commands::names() const {
    std::string text = commands_.size() == 1 ? "there is " : "there are ";
    for (std::size_t i = 0; i < commands_.size(); ++i) {
        if (i > 0)
            text += i + 1 < commands_.size() ? ", " : " and ";
        text += commands_[i].first;
    }
    return text;
}

} // namespace ubf
