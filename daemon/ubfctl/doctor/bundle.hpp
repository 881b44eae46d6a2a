// The content of a bug report, without names of people. A user or group gets another name, and
// keeps it throughout.
#pragma once

#include "daemon/ubfctl/client.hpp"
#include "daemon/ubfctl/doctor/facts.hpp"

#include <functional>
#include <map>
#include <string>
#include <string_view>

namespace ubf::ctl::doctor {

class Pseudonyms {
  public:
    // is_name: whether a word is the name of a user or group that is no service's.
    explicit Pseudonyms(std::function<bool(const std::string& word)> is_name)
      : is_name_(std::move(is_name)) {}

    // The text with other names, and without the uids behind them.
    std::string text(std::string_view text);
    // All texts in it, keys too, and each number of a "uid".
    Json json(const Json& json);

  private:
    std::string other(const std::string& word);

    std::function<bool(const std::string&)> is_name_;
    std::map<std::string, std::string> others_;
    std::map<std::string, bool> known_; // what is_name said
};

// By the user database: uids and gids from 1000 up, but for nobody's.
bool is_person(const std::string& word);

// checks: as --json prints them.
Json bundle(const Facts& facts, const Json& checks, Pseudonyms& pseudonyms);

} // namespace ubf::ctl::doctor
