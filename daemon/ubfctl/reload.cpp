#include "client.hpp"
#include "command.hpp"

#include <fmt/format.h>
#include <iostream>
#include <sysexits.h>

namespace ubf::ctl {

int reload(const Globals& globals, const Arguments& arguments) {
    if (!arguments.empty())
        throw UsageError("reload takes no argument");
    try {
        static_cast<void>(ask(globals.socket, {{"command", "reload"}}));
    } catch (const Refused& error) {
        std::cerr << fmt::format("ubfctl: not reloaded, the old configuration stays: {}\n",
                                 error.what());
        return EX_CONFIG;
    }
    return EX_OK;
}

} // namespace ubf::ctl
