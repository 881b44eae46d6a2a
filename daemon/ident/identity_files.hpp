// Reads the files of [identity].
#pragma once

#include "config/config.hpp"
#include "daemon/ident/identities.hpp"

#include <ctime>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <sys/types.h>

namespace ubf {

// Nothing, if this node has no key of its own. Throws ConfigError, which names the file.
std::shared_ptr<ident::Identities> load_identities(const Config& config);

// The last roster that was accepted, for the next start.
std::filesystem::path kept_roster(const Config& config);

// Sees when another roster takes the file's place. The main thread's.
class RosterFile {
  public:
    enum class News : std::uint8_t { none, changed, bad };
    struct Look {
        News news = News::none;
        std::string mistake{};
    };
    // Loads the roster into `identities` if the file is another than at the last look. One with a
    // smaller number, or a bad one, changes nothing. Keeps each that is loaded for the next start.
    Look look(const Config& config, ident::Identities& identities);

  private:
    struct Mark {
        ino_t inode = 0;
        off_t size = 0;
        std::time_t seconds = 0;
        long nanoseconds = 0;
        bool operator==(const Mark&) const = default;
    };
    std::optional<Mark> seen_;
};

} // namespace ubf
