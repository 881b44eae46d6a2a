// Fields of a JSON object that may hold anything, and JSON as a line.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace ubf {

// The text that stands there; empty where none does.
inline std::string text_of(const nlohmann::ordered_json& object, const char* key) {
    const auto found = object.find(key);
    return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

// Whether it says true there.
inline bool is_set(const nlohmann::ordered_json& object, const char* key) {
    const auto found = object.find(key);
    return found != object.end() && found->is_boolean() && found->get<bool>();
}

// An integer that stands there.
template<typename Number>
Number number_of(const nlohmann::ordered_json& object, const char* key, Number otherwise = {}) {
    const auto found = object.find(key);
    return found != object.end() && found->is_number_integer() ? found->get<Number>() : otherwise;
}

// One line. Names of processes are any bytes: the replacement character stands for those that are
// not UTF-8.
inline std::string to_line(const nlohmann::ordered_json& json) {
    return json.dump(-1, ' ', true, nlohmann::ordered_json::error_handler_t::replace) + '\n';
}

} // namespace ubf
