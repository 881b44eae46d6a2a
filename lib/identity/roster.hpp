// The roster: certificates of the cluster's nodes, and the serials that are revoked, under one
// signature. Numbers are in network byte order.
//
// Offset and size, in bytes:
//  - 0, 4: 'U' 'B' 'R' 1
//  - 4, 4: id of the authority
//  - 8, 8: number; a node takes no roster with a smaller one than it had of that authority
//  - 16, 8: when it was signed, seconds since 1970
//  - 24, 4: number of certificates, at most 65,536
//  - 28, 4: number of revoked serials, at most 65,536
//  - 32: revoked serials, 8 bytes each, ascending
//  - then certificates, as in certificate.hpp, by ascending serial
//  - end, 64: Ed25519's signature of all bytes before
//
// A certificate in a roster is good by the roster's signature: its own is not verified again. So
// its authority must be one that the node accepts, but need not be the roster's.
#pragma once

#include "identity/certificate.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

namespace ubf::identity {

inline constexpr std::size_t max_listed = 65536; // certificates, and serials
inline constexpr std::size_t max_roster = std::size_t{24} << 20;

class Roster {
  public:
    Roster() = default; // of nobody

    // before: the roster that was accepted before; nullptr: none was.
    static Result<Roster, Fault> read(Bytes bytes, const Authorities& authorities,
                                      const Roster* before = nullptr);

    // Each authority counts its own rosters. Those of two are compared by their time.
    bool is_older_than(const Roster& other) const {
        return authority_ == other.authority_ ? number_ < other.number_
                                              : signed_at_ < other.signed_at_;
    }
    // Whether it says which serials of this authority are revoked. That of nobody says so of all.
    bool speaks_of(AuthorityId authority) const { return !authority_ || *authority_ == authority; }

    std::uint64_t number() const { return number_; }
    Seconds signed_at() const { return signed_at_; }
    const std::vector<Certificate>& certificates() const { return certificates_; }
    const std::vector<Serial>& revoked() const { return revoked_; }
    bool is_revoked(Serial serial) const;
    // The certificates that let a node speak from the address, whatever their time; none that is
    // revoked. Those of the longest prefix, so that a node may be named within a range of others.
    // A node that changes its key has two.
    std::vector<const Certificate*> at(const Address& address) const;
    const Certificate* find(Serial serial) const; // unless it is revoked

  private:
    struct Hash {
        std::size_t operator()(const std::pair<Address, unsigned>& prefix) const noexcept;
    };

    void index();

    std::optional<AuthorityId> authority_{};
    std::uint64_t number_ = 0;
    Seconds signed_at_{};
    std::vector<Certificate> certificates_;
    std::vector<Serial> revoked_; // ascending
    std::unordered_multimap<std::pair<Address, unsigned>, std::uint32_t, Hash> by_prefix_;
    std::vector<std::pair<bool, unsigned>> lengths_; // IPv4?, length; the longest first
};

// certificates: signed ones, as sign() returned them, in any order. Nothing if one of them is
// malformed, two have the same serial, or there are too many.
std::optional<std::vector<std::uint8_t>>
sign_roster(std::uint64_t number, Seconds now,
            std::span<const std::vector<std::uint8_t>> certificates, std::vector<Serial> revoked,
            const SigningKey& authority);

} // namespace ubf::identity
