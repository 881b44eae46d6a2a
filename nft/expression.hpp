// The few instructions of the kernel's nf_tables machine (linux/netfilter/nf_tables.h) that our
// rules are made of. All work on register 1.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

namespace ubf::nft {

using Bytes = std::vector<std::uint8_t>;

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

using Expression = std::variant<LoadMeta, StoreMeta, LoadCt, StoreCt, LoadPayload, Bitwise, Compare,
                                Lookup, Count, Immediate, Reject, ToQueue>;

} // namespace ubf::nft
