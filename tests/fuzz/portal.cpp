// A question of a portal (the URI, then a line for each header field), and ubfd's reply to one.
#include "base/text.hpp"
#include "fuzzer.hpp"
#include "portal/answer.hpp"
#include "portal/forward.hpp"
#include "portal/question.hpp"
#include "portal/wire.hpp"

#include <algorithm>
#include <string>
#include <vector>

namespace {

using namespace ubf;
using namespace ubf::portal;

bool fits_in_header(std::string_view text) {
    return std::ranges::all_of(text, [](char c) { return c >= 0x20 && c < 0x7f; });
}

void check_response(const Result<Grant, Refusal>& answer) {
    for (const auto form : {Form::none, Form::html, Form::json}) {
        const auto response = response_to(answer, form);
        fuzz::require((response.code == 204) == answer.has_value());
        for (const auto& [name, value] : response.fields)
            fuzz::require(fits_in_header(value));
    }
}

void check_place(const Place& place) {
    if (const auto* endpoint = std::get_if<Endpoint>(&place)) {
        fuzz::require(endpoint->port != 0 && is_reachable_kind(endpoint->address));
        return;
    }
    const auto& host = std::get<Host>(place);
    fuzz::require(host.port != 0 && !host.name.empty() && fits_in_header(host.name));
    fuzz::require(host.name.find_first_of("/@%:\\ ") == std::string::npos);
    fuzz::require(!Address::parse(host.name));
}

void check_question(std::string_view text) {
    const auto uri = split(text, '\n');
    std::vector<Field> fields;
    while (!text.empty()) {
        auto value = split(text, '\n');
        const auto name = split(value, ':');
        fields.push_back({name, value});
    }
    std::ignore = form_of(fields);
    const auto question = parse_question(uri, fields);
    if (!question)
        return check_response(fail(question.error()));
    fuzz::require(!question->user.empty() && fits_in_header(question->user));
    if (const auto* forward = std::get_if<Forward>(&question->target))
        fuzz::require(forward->name.find_first_of("/.") == std::string::npos);
    else if (const auto* host = std::get_if<Host>(&question->target))
        check_place(*host);
    else
        check_place(std::get<Endpoint>(question->target));
}

} // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto text = fuzz::text(data, size);
    check_question(text);
    if (const auto place = parse_forward(text))
        check_place(*place);
    if (const auto reply = parse_reply(std::string(text)))
        check_response(reply->answer);
    return 0;
}
