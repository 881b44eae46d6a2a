// Names of users and groups, and the other way round. They are looked up here, and not by ubfd, so
// that a slow user database holds up nobody else.
#pragma once

#include "client.hpp"

#include <cstdint>
#include <map>
#include <string>

namespace ubf::ctl {

// A name, or a uid. Throws UsageError.
std::uint32_t uid_of(const std::string& user);

class Names {
  public:
    // Adds the user's name, if there is one.
    void add(Json& party);
    // The name or, if there is none, the number.
    std::string user(std::uint32_t uid);
    std::string group(std::uint32_t gid);

  private:
    const std::string& find(std::uint32_t uid);

    std::map<std::uint32_t, std::string> users_;
    std::map<std::uint32_t, std::string> groups_;
};

} // namespace ubf::ctl
