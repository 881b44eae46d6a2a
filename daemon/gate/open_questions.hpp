// The room for one worker's open questions, and how it is shared. Pure: the worker asks, and closes
// the cases of those that give way.
//
// A question passes through two stages. At first the flow's owner is unknown: the question counts
// for the peer that is asked, and for the user here to whom the flow goes. Anybody can make up a
// peer, so unproven peers have room of their own. The oldest question in it gives way, since a real
// peer answers long before.
// Once the peer has named the owner, and looks for credentials, the question counts for that owner,
// whatever the peer. If that room is full, a question of the user who has most of them gives way.
#pragma once

#include "base/types.hpp"
#include "daemon/ident/peer_table.hpp"
#include "flow/flow.hpp"

#include <algorithm>
#include <cstddef>
#include <list>
#include <map>
#include <optional>
#include <unordered_map>
#include <utility>

namespace ubf {

class OpenQuestions {
  public:
    static constexpr std::size_t room = 4096;              // of questions to proven peers
    static constexpr std::size_t unproven_room = room / 2; // to all others
    static constexpr std::size_t named_room = room;        // of those whose user is known

    struct Begun {
        bool has_room = false;          // otherwise it is not counted
        std::optional<Flow> gave_way{}; // this one is over
    };
    // A question about this flow, of which none is open; it goes to a socket of `local`.
    Begun begin(const Flow& flow, const Address& peer, PeerTable::Standing standing, Uid local) {
        const bool proven = standing == PeerTable::Standing::proven;
        const auto counted = by_peer_.find(peer);
        const bool peer_is_full =
            counted != by_peer_.end() && counted->second >= most_of_one(standing);
        Begun begun;
        if (proven && peer_is_full)
            begun.gave_way = newest_at(peer, local);
        else if (!proven && !peer_is_full && unproven_.size() >= unproven_room)
            begun.gave_way = unproven_.front().flow;
        if (begun.gave_way)
            end(*begun.gave_way);
        else if (peer_is_full || (proven && proven_count_ >= room))
            return {};
        begun.has_room = true;
        auto& places = proven ? proven_[{peer, local}] : unproven_;
        open_[flow] = places.insert(places.end(), {flow, peer, proven, local, std::nullopt});
        ++by_peer_[peer];
        proven_count_ += proven ? 1 : 0;
        return begun;
    }

    // The peer has said whose the flow is. Returns the question that is over for that, perhaps this
    // one.
    std::optional<Flow> name(const Flow& flow, Uid uid) {
        const auto found = open_.find(flow);
        if (found == open_.end() || found->second->uid)
            return std::nullopt;
        std::optional<Flow> gives_way;
        if (named_count_ >= named_room) {
            gives_way = newest_of_most(uid).value_or(flow);
            end(*gives_way);
            if (gives_way == flow)
                return gives_way;
        }
        const auto place = found->second;
        auto& places = named_[uid];
        take_out(place, places);
        place->uid = uid;
        ++named_count_;
        return gives_way;
    }

    void end(const Flow& flow) {
        const auto found = open_.find(flow);
        if (found == open_.end())
            return;
        const auto place = found->second;
        open_.erase(found);
        if (!place->uid) {
            Places nowhere;
            take_out(place, nowhere);
            return;
        }
        const auto user = named_.find(*place->uid);
        user->second.erase(place);
        --named_count_;
        if (user->second.empty())
            named_.erase(user);
    }

  private:
    struct Open {
        Flow flow;
        Address peer;
        bool proven;            // the peer was, when it was asked
        Uid local;              // to whom it goes
        std::optional<Uid> uid; // of whom it comes
    };
    using Places = std::list<Open>; // the oldest first

    static std::size_t most_of_one(PeerTable::Standing standing) {
        switch (standing) {
        case PeerTable::Standing::proven:
            return room / 2;
        case PeerTable::Standing::unknown:
        case PeerTable::Standing::doubtful:
            return room / 8;
        case PeerTable::Standing::silent:
            return room / 64;
        }
        return 0;
    }

    // Nothing where this user would have as many as whoever has most.
    std::optional<Flow> newest_of_most(Uid uid) const {
        const auto size = [](const auto& user) { return user.second.size(); };
        const auto most = std::ranges::max_element(named_, {}, size);
        const auto own = named_.find(uid);
        if (most == named_.end() || size(*most) <= (own == named_.end() ? 0 : size(*own)) + 1)
            return std::nullopt;
        return most->second.back().flow;
    }

    // The same of those of one peer that go to one user here.
    std::optional<Flow> newest_at(const Address& peer, Uid local) const {
        const Places* most = nullptr;
        std::size_t own = 0;
        for (auto entry = proven_.lower_bound({peer, Uid{0}});
             entry != proven_.end() && entry->first.first == peer; ++entry) {
            if (most == nullptr || entry->second.size() > most->size())
                most = &entry->second;
            if (entry->first.second == local)
                own = entry->second.size();
        }
        if (most == nullptr || most->size() <= own + 1)
            return std::nullopt;
        return most->back().flow;
    }

    // A question of the first stage.
    void take_out(Places::iterator place, Places& to) {
        const auto counted = by_peer_.find(place->peer);
        if (--counted->second == 0)
            by_peer_.erase(counted);
        if (!place->proven)
            return to.splice(to.end(), unproven_, place);
        const auto places = proven_.find({place->peer, place->local});
        to.splice(to.end(), places->second, place);
        if (places->second.empty())
            proven_.erase(places);
        --proven_count_;
    }

    std::unordered_map<Flow, Places::iterator> open_;
    std::unordered_map<Address, std::size_t> by_peer_; // of the first stage
    std::map<std::pair<Address, Uid>, Places> proven_; // by peer, and whom the flow goes to
    std::size_t proven_count_ = 0;
    Places unproven_;
    std::unordered_map<Uid, Places> named_;
    std::size_t named_count_ = 0;
};

} // namespace ubf
