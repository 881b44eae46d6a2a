// Values of ubfd's status, by JSON pointer. The ubfd that answers may be older or newer than this
// ubfctl, so any value may be missing.
#pragma once

#include "client.hpp"

#include <cstdint>
#include <string>

namespace ubf::ctl {

inline std::uint64_t number(const Json& json, const std::string& path) {
    return json.value(Json::json_pointer(path), std::uint64_t{0});
}

inline bool yes(const Json& json, const std::string& path) {
    return json.value(Json::json_pointer(path), false);
}

inline std::string word(const Json& json, const std::string& path,
                        const char* otherwise = "not known to this ubfd") {
    return json.value(Json::json_pointer(path), std::string(otherwise));
}

} // namespace ubf::ctl
