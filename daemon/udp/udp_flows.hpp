// The UDP flows that are allowed by our connection mark, and the sockets they were allowed for. UDP
// has no end of its own: when a socket at either end goes away, the kernel must forget the flow, or
// whoever binds the port next would inherit it.
#pragma once

#include "daemon/core/counters.hpp"
#include "daemon/core/event_loop.hpp"
#include "flow/flow.hpp"
#include "netlink/conntrack.hpp"

#include <array>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <unordered_set>
#include <utility>

namespace ubf {

class UdpFlows {
  public:
    // Before the verdict: this flow is about to be allowed for these sockets of ours. False when
    // one of them is gone already, and the packet must not be allowed.
    bool remember(const Flow& flow, Cookie local, std::optional<Cookie> other);
    // After the verdict: true while both sockets are there; else the kernel is told to forget.
    bool confirm(const Flow& flow);

    // A socket of this node is gone.
    void forget(Cookie cookie);
    // The socket at the peer's end of this flow is gone.
    void forget(const Flow& flow);
    // Nothing is certain any more: every flow asks again.
    void forget_all();

    std::size_t size() const;

  private:
    struct Sockets {
        Cookie local;
        std::optional<Cookie> other;
    };

    // What went away a moment ago, for those who looked it up just before: a ring.
    template<typename T>
    class Recent {
      public:
        void add(const T& item, TimePoint now) {
            items_[next_] = {item, now};
            next_ = (next_ + 1) % items_.size();
        }
        bool contains(const T& item, TimePoint now) const {
            for (const auto& [known, when] : items_)
                if (known == item && when != TimePoint{} && now - when < std::chrono::seconds(1))
                    return true;
            return false;
        }

      private:
        std::array<std::pair<T, TimePoint>, 256> items_{};
        std::size_t next_ = 0;
    };

    void erase(const Flow& flow);
    void unlink(Cookie cookie, const Flow& flow);

    static constexpr std::size_t most = 65536;

    mutable std::mutex mutex_;
    Conntrack conntrack_;
    std::unordered_map<Flow, Sockets> flows_;
    std::unordered_map<Cookie, std::unordered_set<Flow>> by_socket_;
    Recent<Cookie> gone_sockets_;
    Recent<Flow> gone_flows_;
};

} // namespace ubf
