// The sockets of portals that speak for users, in a file that outlives a restart of ubfd. Cookies
// are good for one boot, and a socket counts only if it is there still, a portal's, and on the same
// connection. Without the file, such a socket is the portal's own after a restart, which can only
// deny.
#pragma once

#include "daemon/core/event_loop.hpp"
#include "daemon/tickets/tickets.hpp"

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace ubf {

// A line for each, below one that names the boot.
std::string to_text(const std::vector<TicketBook::Speaking>& sockets, std::string_view boot);
// Reads that form, up to the first mistake. Nothing of another boot.
std::vector<TicketBook::Speaking> parse_speaking(std::string_view text, std::string_view boot);

class KeptBearers {
  public:
    // Reads the file. Throws std::system_error.
    KeptBearers(std::filesystem::path file, Tickets& tickets);
    ~KeptBearers() { save(); }

    KeptBearers(const KeptBearers&) = delete;
    KeptBearers& operator=(const KeptBearers&) = delete;

    void look(TimePoint now); // writes the file every few seconds, if anything changed

  private:
    void load();
    void save();

    static constexpr std::chrono::seconds pause{5};

    const std::filesystem::path file_;
    const std::string boot_;
    Tickets& tickets_;
    std::uint64_t saved_ = 0; // as Tickets::changes() counts
    TimePoint next_{};
};

} // namespace ubf
