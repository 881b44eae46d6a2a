// How many questions of one worker are open with each peer. No peer may take all the room, and
// those that don't answer, or never have yet, get half of it together and little of it each: their
// questions stay open longest, and nodes that are down must not keep the others' connections from
// being asked about.
#pragma once

#include "daemon/ident/peer_table.hpp"
#include "flow/address.hpp"

#include <cstddef>
#include <unordered_map>

namespace ubf {

class OpenQuestions {
  public:
    static constexpr std::size_t room = 4096;

    // False when there is no room for one more; otherwise it is counted until end().
    bool begin(const Address& peer, PeerTable::Standing standing) {
        const bool proven = standing == PeerTable::Standing::answers;
        const auto found = open_.find(peer);
        const auto count = found == open_.end() ? 0 : found->second.count;
        if (all_ >= room || count >= most_of_one(standing) || (!proven && unproven_ >= room / 2))
            return false;
        auto& open = open_[peer];
        ++open.count;
        ++all_;
        if (!proven) {
            ++open.unproven;
            ++unproven_;
        }
        return true;
    }

    void end(const Address& peer) {
        const auto found = open_.find(peer);
        if (found == open_.end())
            return;
        auto& open = found->second;
        --open.count;
        --all_;
        if (open.unproven > 0) {
            --open.unproven;
            --unproven_;
        }
        if (open.count == 0)
            open_.erase(found);
    }

  private:
    struct Open {
        std::size_t count = 0;
        std::size_t unproven = 0; // of these, begun when the peer had not answered
    };

    static std::size_t most_of_one(PeerTable::Standing standing) {
        switch (standing) {
        case PeerTable::Standing::answers:
            return room / 2;
        case PeerTable::Standing::unknown:
            return room / 8;
        case PeerTable::Standing::silent:
            return room / 64;
        }
        return 0;
    }

    std::unordered_map<Address, Open> open_;
    std::size_t all_ = 0;
    std::size_t unproven_ = 0;
};

} // namespace ubf
