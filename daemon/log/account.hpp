// The accounts that a refusal may be charged to, so that nobody's refusals push out others'. Pure.
//
// A refusal is charged to the user at its connector; if none is known there, to the one at its
// listener; and if neither is known, to the connector's address. One that a peer tells of is
// charged to the peer and the user. A person has one account, however many uids are subordinate to
// them.
#pragma once

#include "flow/flow.hpp"
#include "owner/owner.hpp"

#include <compare>
#include <cstddef>
#include <cstdint>
#include <tuple>

namespace ubf {

struct Account {
    // The user database names a person. A stranger is a mere uid, and `told` is a user whom a peer
    // names.
    enum class Of : std::uint8_t { everybody, kernel, person, stranger, told, address };
    static constexpr std::size_t kinds = 6;

    Of of = Of::everybody;
    Uid uid{};
    Address address{}; // of the connector, or of the peer that tells

    // A stranger keeps the account once the user database names them.
    auto operator<=>(const Account& other) const { return key() <=> other.key(); }
    bool operator==(const Account& other) const { return key() == other.key(); }

  private:
    std::tuple<Of, Uid, const Address&> key() const {
        return {of == Of::stranger ? Of::person : of, uid, address};
    }
};

// The user who is charged for a Denial or Refusal; nullptr if none is known.
template<typename Refused>
const auto* charged_user(const Refused& refused) {
    return refused.connector.kind == OwnerKind::user  ? &refused.connector
           : refused.listener.kind == OwnerKind::user ? &refused.listener
                                                      : nullptr;
}

// The account of a Denial or Refusal. When a kind has too many accounts, the rest are charged to
// their addresses, and in the end to everybody's account.
template<typename Refused, typename HasRoom>
Account charged_account(const Refused& refused, HasRoom has_room) {
    using enum Account::Of;
    const auto* user = charged_user(refused);
    const bool by_kernel = refused.connector.kind == OwnerKind::kernel ||
                           (user == nullptr && refused.listener.kind == OwnerKind::kernel);
    if (by_kernel && !refused.told_by)
        return {kernel};
    if (user != nullptr) {
        const auto of = refused.told_by ? told : refused.person ? person : stranger;
        const Account account{of, refused.person.value_or(user->uid),
                              refused.told_by.value_or(Address{})};
        if (has_room(account))
            return account;
    }
    const Account account{address, {}, refused.told_by.value_or(refused.flow.source.address)};
    return has_room(account) ? account : Account{};
}

} // namespace ubf
