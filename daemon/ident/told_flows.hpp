// Which peers were told the owner of which UDP socket, so that they hear of its end. A notice is
// sent again until the peer has seen it, a few times at most.
#pragma once

#include "daemon/core/event_loop.hpp"
#include "ident/wire.hpp"

#include <optional>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace ubf::ident {

class ToldFlows {
  public:
    // Path: from us to the peer.
    struct Notice {
        Gone gone;
        Path path;
        std::uint32_t interface;
    };

    void add(Cookie cookie, const Flow& flow, const Path& path, std::uint32_t interface);
    // What must be told now, and is told again from then on by due().
    std::vector<Notice> gone(Cookie cookie, TimePoint now);
    std::vector<Notice> all_gone(TimePoint now);
    void seen(Nonce nonce, const Path& path); // path: from the peer to us

    std::vector<Notice> due(TimePoint now);
    std::optional<TimePoint> next() const;

  private:
    struct Told {
        Path path;
        std::uint32_t interface;
    };
    struct Unseen {
        Notice notice;
        TimePoint again;
        std::chrono::milliseconds pause;
    };

    static constexpr std::size_t most = 65536;

    std::unordered_map<Cookie, std::unordered_map<Flow, Told>> told_;
    std::size_t size_ = 0;
    std::unordered_map<Nonce, Unseen> unseen_;
};

} // namespace ubf::ident
