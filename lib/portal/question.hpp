// A portal's question over HTTP: may this person be connected to that target? The pure part, from
// the request line's URI and the header fields to values.
#pragma once

#include "portal/target.hpp"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace ubf::portal {

struct Field { // of a header, as it came
    std::string_view name;
    std::string_view value;
};

enum class Form : std::uint8_t { none, html, json }; // of a refusal's body

struct Question {
    std::string user; // a name, or a uid as text
    Target target;
    bool wants_source = false; // the answer shall name an address and port to connect from
};

// Whether it can be a user's name or uid; ubfd looks it up.
bool is_user(std::string_view user);
// Whether the URI is that of a question: its path begins with /v1/may.
bool is_question(std::string_view uri);
// User and target are in UBF-User and UBF-Target, or in the query. If both have one and they
// differ, or one comes twice, the question is malformed.
Result<Question, Refusal> parse_question(std::string_view uri, std::span<const Field> fields);
// The body that the asker's Accept asks for.
Form form_of(std::span<const Field> fields);

} // namespace ubf::portal
