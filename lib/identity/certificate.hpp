// A certificate: the authority says which node may speak from which addresses, with which key, and
// of which class it is. The format is canonical: one certificate has one form, to the byte. Numbers
// are in network byte order.
//
// Offset and size, in bytes:
//  - 0, 4: 'U' 'B' 'C' 1
//  - 4, 2: length of all, the signature included
//  - 6, 1: flags: 1 the node may grant
//  - 7, 1: 0
//  - 8, 4: id of the authority
//  - 12, 8: serial
//  - 20, 8: valid from, seconds since 1970
//  - 28, 8: valid until
//  - 36, 32: public key (X25519)
//  - with flag 1, 32: the key that verifies its grants (Ed25519)
//  - 1+n: name: 1 to 63 of a-z 0-9 . _ -, behind a byte with its length
//  - 1+n: class: the same, 1 to 32
//  - 1: number of prefixes, 1 to 16
//  - each prefix: length in bits (1), 4 or 6 (1), and 4 or 16 bytes; ascending, no host bits set
//  - end, 64: Ed25519's signature of all bytes before
#pragma once

#include "base/buffer.hpp"
#include "base/result.hpp"
#include "flow/address.hpp"
#include "identity/fault.hpp"
#include "identity/keys.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ubf::identity {

inline constexpr std::size_t max_name = 63;
inline constexpr std::size_t max_class = 32;
inline constexpr std::size_t max_prefixes = 16;
inline constexpr std::size_t max_certificate =
    36 + 2 * key_size + 1 + max_name + 1 + max_class + 1 + max_prefixes * 18 + signature_size;

enum class Serial : std::uint64_t {};

struct Validity {
    Seconds from{};
    Seconds until{}; // not valid any more then

    // Nothing if `now` is within.
    std::optional<Fault> fault(Seconds now) const {
        if (now < from)
            return Fault::not_yet;
        return now < until ? std::nullopt : std::optional(Fault::expired);
    }
    bool operator==(const Validity&) const = default;
};
// As the formats have it: nothing unless it has a length, and ends before the year 36,812, so that
// no arithmetic overflows.
std::optional<Validity> validity_of(std::uint64_t from, std::uint64_t until);
bool fits_format(const Validity& validity);

struct Certificate {
    std::string name;
    std::string node_class;
    std::vector<Prefix> addresses; // ascending
    PublicKey key;
    std::optional<VerifyKey> grants{}; // if the node may grant
    Serial serial{};
    Validity valid;
    AuthorityId authority{};

    // The length of the longest prefix that has the address; nothing if none has.
    std::optional<unsigned> length_at(const Address& address) const;

    bool operator==(const Certificate&) const = default;
};

bool is_name(std::string_view text, std::size_t most);
// In the order that the format wants, without repeats.
std::vector<Prefix> in_order(std::vector<Prefix> prefixes);

// Prefixes as the format has them: counted, ascending.
void put(Writer& out, std::span<const Prefix> prefixes);
std::optional<std::vector<Prefix>> get_prefixes(Reader& in);
void put_text(Writer& out, std::string_view text); // behind a byte with its length
KeyBytes get_key(Reader& in);
std::optional<std::string> get_name(Reader& in, std::size_t most);

// Signs; the certificate's field `authority` counts for nothing. Nothing if a field does not fit
// the format.
std::optional<std::vector<std::uint8_t>> sign(const Certificate& certificate,
                                              const SigningKey& authority);
// The format alone: the caller knows the signature to be good.
Result<Certificate, Fault> parse_certificate(Bytes bytes);
// The format and the signature, not the time.
Result<Certificate, Fault> check_certificate(Bytes bytes, const Authorities& authorities);

} // namespace ubf::identity
