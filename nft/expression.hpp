// The few instructions of the kernel's nf_tables machine (linux/netfilter/nf_tables.h) that our
// rules are made of. All work on register 1.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

struct nftnl_rule;

namespace ubf::nft {

using Bytes = std::vector<std::uint8_t>; // as they stand in the register

struct LoadMeta {
    std::uint32_t key; // NFT_META_*
};
struct StoreMeta {
    std::uint32_t key;
};
struct LoadCt {
    std::uint32_t key; // NFT_CT_*
};
struct StoreCt {
    std::uint32_t key;
};
struct LoadPayload {
    std::uint32_t base; // NFT_PAYLOAD_*
    std::uint32_t offset;
    std::uint32_t length;
};
// What the routing table says of an address.
struct LoadFib {
    std::uint32_t result; // NFT_FIB_RESULT_*
    std::uint32_t flags;  // NFTA_FIB_F_*
};
// register = (register & mask) ^ flip
struct Bitwise {
    Bytes mask;
    Bytes flip;
};
struct Compare {
    std::uint32_t operation; // NFT_CMP_*
    Bytes with;
};
struct Lookup {
    std::string set;
    bool inverted;
};
struct Count {};
struct Immediate {
    std::int32_t verdict; // NF_ACCEPT, NF_DROP, NFT_JUMP, ...
    std::string chain;    // of a jump
};
struct Reject {
    std::uint32_t type; // NFT_REJECT_*
    std::uint8_t code;
};
// As nft's own queue, or as xt NFQUEUE where the kernel lacks that.
struct ToQueue {
    std::uint16_t first;
    std::uint16_t count;
    bool native;
};

using Expression = std::variant<LoadMeta, StoreMeta, LoadCt, StoreCt, LoadPayload, LoadFib, Bitwise,
                                Compare, Lookup, Count, Immediate, Reject, ToQueue>;

// Throws std::bad_alloc when libnftnl has no memory.
void append(nftnl_rule* rule, const Expression& expression);

// The kernel modules that it needs beside nf_tables; empty when there are none.
std::string_view modules(const Expression& expression);

} // namespace ubf::nft
