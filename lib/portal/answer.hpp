// The answer to a portal, as an HTTP response without its framing.
#pragma once

#include "flow/address.hpp"
#include "portal/question.hpp"

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace ubf::portal {

struct Grant {
    std::string reason;             // such as "same-user"
    Endpoint address;               // the portal connects there, once
    std::optional<Endpoint> source; // from there, if it asked for that
};

struct Response {
    unsigned code = 0;
    std::vector<std::pair<std::string, std::string>> fields; // without Content-Length
    std::string body;
};

inline constexpr std::size_t most_in_page = 2048;

Response response_to(const Result<Grant, Refusal>& answer, Form form);

} // namespace ubf::portal
