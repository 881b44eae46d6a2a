// The few instructions of the kernel's nf_tables machine (linux/netfilter/nf_tables.h) that our
// rules use. All work on register 1, which is 16 bytes wide. Only the parts of a key are loaded
// into consecutive registers of 4 bytes, which begin where register 1 does.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

struct nftnl_rule;

namespace ubf::nft {

using Bytes = std::vector<std::uint8_t>; // as they stand in the register

inline constexpr std::uint32_t register_1 = 1;       // NFT_REG_1
inline constexpr std::uint32_t first_of_4_bytes = 8; // NFT_REG32_00

struct LoadMeta {
    std::uint32_t key; // NFT_META_*
    std::uint32_t reg = register_1;
};
struct StoreMeta {
    std::uint32_t key;
};
struct LoadCt {
    std::uint32_t key; // NFT_CT_*
};
struct LoadPayload {
    std::uint32_t base; // NFT_PAYLOAD_*
    std::uint32_t offset;
    std::uint32_t length;
    std::uint32_t reg = register_1;
};
// The routing table's result for an address.
struct LoadFib {
    std::uint32_t result; // NFT_FIB_RESULT_*
    std::uint32_t flags;  // NFTA_FIB_F_*
};
// A property of the packet's socket.
struct LoadSocket {
    std::uint32_t key; // NFT_SOCKET_*
};
// register = (register & mask) ^ flip
struct Bitwise {
    Bytes mask;
    Bytes flip;
};
// The register's four bytes, from the host's order to the network's, in which they can be compared.
struct ToNetworkOrder {};
struct Compare {
    std::uint32_t operation; // NFT_CMP_*
    Bytes with;
};
struct Lookup {
    std::string set;
    bool inverted;
};
// Puts the register's value into the set, or renews its timeout.
struct Update {
    std::string set;
    std::uint64_t timeout_ms;
};
// The same, with a rate limit for each element. Goes on only if the limit is exceeded.
struct UpdateOverLimit {
    std::string set;
    std::uint64_t timeout_ms;
    std::uint32_t per_second;
    std::uint32_t burst;
};
struct Notrack {};
struct Count {};
struct Immediate {
    std::int32_t verdict; // NF_ACCEPT, NF_DROP, NFT_JUMP, ...
    std::string chain;    // of a jump
};
struct Reject {
    std::uint32_t type; // NFT_REJECT_*
    std::uint8_t code;
};
// nft's own queue or, if the kernel lacks it, xt NFQUEUE.
struct ToQueue {
    std::uint16_t first;
    std::uint16_t count;
    bool native;
};

using Expression = std::variant<LoadMeta, StoreMeta, LoadCt, LoadPayload, LoadFib, LoadSocket,
                                Bitwise, ToNetworkOrder, Compare, Lookup, Update, UpdateOverLimit,
                                Notrack, Count, Immediate, Reject, ToQueue>;

// Throws std::bad_alloc when libnftnl has no memory.
void append(nftnl_rule* rule, const Expression& expression);

// The kernel modules that it needs beside nf_tables; empty if there are none.
std::string_view modules(const Expression& expression);

} // namespace ubf::nft
