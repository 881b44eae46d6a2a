// The UDP flows on which the kernel has our verdict: by flow, and by the sockets that the verdict
// is for. A value without a lock and without I/O.
#pragma once

#include "base/deadlines.hpp"
#include "daemon/udp/udp_verdicts.hpp"
#include "flow/flow.hpp"
#include "nft/sets.hpp"
#include "owner/owner.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <unordered_map>
#include <unordered_set>
#include <utility>

namespace ubf {

class UdpBook {
  public:
    // One verdict on one flow.
    enum class Lease : std::uint64_t {};
    using Sender = std::pair<OwnerKind, Uid>;

    struct Entry {
        Lease lease;
        Keeper keeper;
        Cookie local;
        Uid user; // the owner of `local`
        std::optional<Cookie> other;
        Sender sender{};     // of a denied one
        TimePoint until{};   // the kernel ends an allowed one by itself
        bool ending = false; // the kernel has not confirmed yet that it forgot

        bool is_allowed() const { return keeper != Keeper::denied; }
        // Whether a new lease suffices: the verdict is there, and for the same sockets.
        bool can_become(const Entry& next) const;
    };
    using Flows = std::unordered_map<Flow, Entry>;

    const Flows& flows() const { return flows_; }
    Entry* find(const Flow& flow);
    Entry* find(const Flow& flow, Lease lease); // nothing if the lease is another one
    const std::unordered_set<Flow>& flows_of(Cookie socket) const;
    std::size_t size(Keeper keeper) const { return sizes_[static_cast<std::size_t>(keeper)]; }

    // Nothing if there are too many denied flows, of this sender or in all.
    bool may_deny(const Sender& sender) const;
    // The flow to end before another one of this user's can be allowed, if there is no room: one of
    // a user who has more, if there is one near.
    std::optional<Flow> in_the_way(Uid newcomer);

    Lease next_lease() { return Lease{++last_lease_}; }
    // The flow must not be there.
    void add(const Flow& flow, const Entry& entry);
    // The flow must be there.
    Entry erase(const Flow& flow);
    // The kernel expires this denied flow by itself then. Later ones must not be sooner.
    void expires(const Flow& flow, Lease lease, TimePoint when) {
        expiries_.add(when, {flow, lease});
    }
    // Erases denied flows that have expired.
    void erase_expired(TimePoint now);

  private:
    std::size_t& count_of(Keeper keeper) { return sizes_[static_cast<std::size_t>(keeper)]; }
    void unlink(Cookie socket, const Flow& flow);
    std::size_t bucket() const { return hand_ % flows_.bucket_count(); }

    static constexpr std::size_t most = nft::room_for_udp; // of those that are allowed
    static constexpr std::size_t most_denied = nft::room_for_denied;
    static constexpr std::size_t most_denied_of_one = 256;

    Flows flows_;
    std::array<std::size_t, static_cast<std::size_t>(Keeper::count_)> sizes_{};
    std::unordered_map<Cookie, std::unordered_set<Flow>> by_socket_;
    std::map<Sender, std::size_t> denied_of_;
    std::map<Uid, std::size_t> allowed_of_;
    std::size_t hand_ = 0; // the bucket of flows_ where the next search for room begins
    Deadlines<std::pair<Flow, Lease>, Times::in_order> expiries_;
    std::uint64_t last_lease_ = 0;
};

} // namespace ubf
