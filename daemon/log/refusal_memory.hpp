// Remembers the last refusals, so that users and the administrator can ask for them. Refusals that
// differ in time and source port alone are one, with a count. Each user has a share of the room, so
// that nobody's loop makes others forget (account.hpp). Accounts in names that nobody vouches for
// are few. Pure memory.
#pragma once

#include "daemon/log/account.hpp"
#include "daemon/log/refusal.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <tuple>
#include <vector>

namespace ubf {

class RefusalMemory {
  public:
    static constexpr std::size_t most = 4096;
    static constexpr std::size_t share = 512;        // of one account
    static constexpr std::size_t most_doubtful = 64; // accounts of each kind but the persons

    // first_id: of the first new one; ids that are there already are passed over.
    explicit RefusalMemory(std::uint32_t first_id)
      : next_id_(first_id) {}

    struct Added {
        std::uint32_t id;
        bool is_new; // not one of those that are there
    };
    Added add(Refusal refusal);
    // As it was before a restart, with its id.
    void restore(Refusal refusal);

    std::size_t size() const { return by_key_.size(); }
    // In no order. They are values: what add() changes later is another one.
    std::vector<std::shared_ptr<const Refusal>> all() const;

  private:
    using Key = std::tuple<Protocol, Address, Endpoint, OwnerKind, Uid, OwnerKind, Uid, Reason,
                           bool, bool, std::optional<Address>>;
    // The refusals of one account, the oldest first. Readers share them, so that they copy nothing
    // under a lock.
    using Refusals = std::list<std::shared_ptr<const Refusal>>;
    struct Place {
        Account account;
        Refusals::iterator refusal;
    };

    static Key key_of(const Refusal& refusal);
    bool has_room(const Account& account) const;
    void insert(Refusal refusal);
    void make_room(const Account& newcomer);
    void forget_oldest(const Account& account);
    std::uint32_t new_id();

    std::map<Account, Refusals> accounts_;
    std::array<std::size_t, Account::kinds> known_{}; // accounts of each kind
    std::map<Key, Place> by_key_;
    std::map<std::uint32_t, Key> by_id_;
    std::uint32_t next_id_;
};

} // namespace ubf
