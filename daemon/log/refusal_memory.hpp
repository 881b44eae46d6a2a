// Remembers the last refusals, so that users and the administrator can ask for them. Refusals that
// differ in time and source port alone are one, with a count. Each user has a share of the room, so
// that nobody's loop makes others forget. A refusal is charged to its connector. If no user is
// known there, it is charged to its listener, and otherwise to the connector's address. Pure
// memory.
#pragma once

#include "daemon/log/refusal.hpp"

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
    static constexpr std::size_t share = 512; // of one user, or of one address

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
    struct Account {
        bool is_user = false;
        Uid uid{};
        Address address{};

        auto operator<=>(const Account&) const = default;
    };
    using Key = std::tuple<Protocol, Address, Endpoint, OwnerKind, Uid, OwnerKind, Uid, Reason,
                           bool, bool, std::optional<Address>>;
    // The refusals of one account, the oldest first. Readers share them, so that they copy nothing
    // under a lock.
    using Refusals = std::list<std::shared_ptr<const Refusal>>;

    static Key key_of(const Refusal& refusal);
    static Account account_of(const Refusal& refusal);
    void insert(Refusal refusal);
    void make_room(const Account& newcomer);
    void forget_oldest(const Account& account);
    std::uint32_t new_id();

    std::map<Account, Refusals> accounts_;
    std::map<Key, Refusals::iterator> by_key_;
    std::map<std::uint32_t, Key> by_id_;
    std::uint32_t next_id_;
};

} // namespace ubf
