// The lines between ubf-portal and ubfd, on /run/ubf/portal.sock. Replies come in any order.
#pragma once

#include "base/types.hpp"
#include "portal/answer.hpp"

#include <cstdint>
#include <optional>
#include <string>

namespace ubf::portal {

struct Asked {
    std::uint64_t id = 0;
    std::string user;
    Uid asker{}; // the portal's
    Pid pid{};
    Endpoint target;
    std::optional<Endpoint> source;
};
std::string to_line(const Asked& asked);

struct Reply {
    std::uint64_t id = 0;
    Result<Grant, Refusal> answer;
};
// Nothing if the line is no reply.
std::optional<Reply> parse_reply(const std::string& line);

} // namespace ubf::portal
