// Addresses, prefixes and endpoints. Both families have one representation: 16 bytes in network
// order, with an IPv4 address in its v4-mapped form (RFC 4291, 2.5.5.2). The address of a
// dual-stack socket then equals that of a packet it receives.
#pragma once

#include "base/types.hpp"

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

struct sockaddr;
struct sockaddr_storage;

namespace ubf {

class Address {
  public:
    using Bytes = std::array<std::uint8_t, 16>;

    constexpr Address() = default; // the IPv6 wildcard, ::
    static Address v4(std::span<const std::uint8_t, 4> bytes);
    static Address v6(std::span<const std::uint8_t, 16> bytes);
    // Text as people write it, without a zone: "10.0.0.1", "fd00::1". Nothing on trailing junk.
    static std::optional<Address> parse(std::string_view text);

    bool is_v4() const;
    bool is_link_local() const;   // IPv6 only: such an address means nothing without an interface
    bool is_on_link_only() const; // link-local, of either family: no router passes it on
    const Bytes& bytes() const { return bytes_; }
    // The four bytes of an IPv4 address, network order. Only when is_v4().
    std::span<const std::uint8_t, 4> v4_bytes() const;

    auto operator<=>(const Address&) const = default;

  private:
    Bytes bytes_{};
};

std::string to_string(const Address& address);

// A range of addresses in CIDR form.
class Prefix {
  public:
    // Host bits that are set are refused, since they are nearly always a slip.
    static std::optional<Prefix> parse(std::string_view text);
    // length: as in length(). Nothing if it is too long, or host bits are set.
    static std::optional<Prefix> of(const Address& first, unsigned length);

    bool contains(const Address& address) const;
    bool overlaps(const Prefix& other) const;
    bool is_v4() const { return address_.is_v4(); }
    const Address& first() const { return address_; }
    Address last() const;
    // The address in this range with the host bits of `address`, which is of the same family.
    Address with_host_of(const Address& address) const;
    // 0 to 32 for IPv4, 0 to 128 for IPv6.
    unsigned length() const { return length_; }
    // The same for IPv4 as IPv4-mapped IPv6 (RFC 4291 2.5.5.2): 96 to 128.
    unsigned mapped_length() const { return is_v4() ? length_ + 96 : length_; }

    bool operator==(const Prefix&) const = default;

  private:
    friend std::vector<Prefix> without(const Prefix& range, const Prefix& hole);

    Prefix(Address address, unsigned length)
      : address_(address)
      , length_(length) {}

    Address address_;
    unsigned length_ = 0;
};

std::string to_string(const Prefix& prefix);
bool contains(std::span<const Prefix> ranges, const Address& address); // any of them
// The range without the hole, in as few ranges as possible.
std::vector<Prefix> without(const Prefix& range, const Prefix& hole);
std::vector<Prefix> without(std::vector<Prefix> ranges, std::span<const Prefix> holes);

struct Endpoint {
    Address address;
    Port port = 0;

    // "10.0.0.1:80", "[fd00::1]:80"
    static std::optional<Endpoint> parse(std::string_view text);

    auto operator<=>(const Endpoint&) const = default;
};

std::string to_string(const Endpoint& endpoint);

} // namespace ubf

template<>
struct std::hash<ubf::Address> {
    std::size_t operator()(const ubf::Address& address) const noexcept;
};
