// Which peers were told the owner of which UDP socket, or labels of whom, so that they hear of
// their end. A notice is sent again until the peer has seen it, a few times at most.
#pragma once

#include "daemon/core/event_loop.hpp"
#include "ident/wire.hpp"

#include <functional>
#include <optional>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace ubf::ident {

class ToldFlows {
  public:
    struct Told {
        Path path;
        std::uint32_t interface;
    };
    // Path: from us to the peer.
    struct Notice {
        Gone gone;
        Path path;
        std::uint32_t interface;
    };

    void add(Cookie cookie, const Flow& flow, const Path& path, std::uint32_t interface);
    // The peer was told labels of this user's.
    void add_labelled(Uid uid, const Flow& flow, const Path& path, std::uint32_t interface);
    // What must be told now, and is told again from then on by due().
    std::vector<Notice> gone(Cookie cookie, TimePoint now);
    std::vector<Notice> all_gone(TimePoint now);
    // The labels that were told of this user are not what they were. still_there: whether the
    // socket of a flow is; of others there is nothing to tell.
    std::vector<Notice> withdrawn(Uid uid, TimePoint now,
                                  const std::function<bool(const Flow&, const Told&)>& still_there);
    // Of whom peers were told labels.
    std::vector<Uid> labelled() const;
    void seen(Nonce nonce, const Path& path); // path: from the peer to us

    std::vector<Notice> due(TimePoint now);
    std::optional<TimePoint> next() const;

  private:
    Notice notice(const Flow& flow, const Told& told, TimePoint now);

    struct Unseen {
        Notice notice;
        TimePoint again;
        std::chrono::milliseconds pause;
    };

    static constexpr std::size_t most = 65536;
    static constexpr std::size_t most_labelled_of_one = 16384;

    std::unordered_map<Cookie, std::unordered_map<Flow, Told>> told_;
    std::size_t size_ = 0;
    std::unordered_map<Uid, std::unordered_map<Flow, Told>> labelled_;
    std::unordered_map<Nonce, Unseen> unseen_;
};

} // namespace ubf::ident
