#include "nft/expression.hpp"

#include "nft/ptr.hpp"

#include <cstdlib>
#include <cstring>
#include <libnftnl/expr.h>
#include <libnftnl/rule.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/xt_NFQUEUE.h>

namespace ubf::nft {
namespace {

constexpr std::uint32_t reg = register_1;
static_assert(register_1 == NFT_REG_1 && first_of_4_bytes == NFT_REG32_00);

using ExprPtr = NftnlPtr<nftnl_expr, nftnl_expr_free>;

ExprPtr make(const char* name) {
    return ExprPtr(checked(nftnl_expr_alloc(name)));
}

void set_data(const ExprPtr& e, std::uint16_t attribute, const Bytes& bytes) {
    nftnl_expr_set(e.get(), attribute, bytes.data(), static_cast<std::uint32_t>(bytes.size()));
}

ExprPtr to_nftnl(const LoadMeta& load) {
    auto e = make("meta");
    nftnl_expr_set_u32(e.get(), NFTNL_EXPR_META_KEY, load.key);
    nftnl_expr_set_u32(e.get(), NFTNL_EXPR_META_DREG, load.reg);
    return e;
}

ExprPtr to_nftnl(const StoreMeta& store) {
    auto e = make("meta");
    nftnl_expr_set_u32(e.get(), NFTNL_EXPR_META_KEY, store.key);
    nftnl_expr_set_u32(e.get(), NFTNL_EXPR_META_SREG, reg);
    return e;
}

ExprPtr to_nftnl(const LoadCt& load) {
    auto e = make("ct");
    nftnl_expr_set_u32(e.get(), NFTNL_EXPR_CT_KEY, load.key);
    nftnl_expr_set_u32(e.get(), NFTNL_EXPR_CT_DREG, reg);
    return e;
}

ExprPtr to_nftnl(const LoadPayload& load) {
    auto e = make("payload");
    nftnl_expr_set_u32(e.get(), NFTNL_EXPR_PAYLOAD_BASE, load.base);
    nftnl_expr_set_u32(e.get(), NFTNL_EXPR_PAYLOAD_OFFSET, load.offset);
    nftnl_expr_set_u32(e.get(), NFTNL_EXPR_PAYLOAD_LEN, load.length);
    nftnl_expr_set_u32(e.get(), NFTNL_EXPR_PAYLOAD_DREG, load.reg);
    return e;
}

ExprPtr to_nftnl(const LoadFib& load) {
    auto e = make("fib");
    nftnl_expr_set_u32(e.get(), NFTNL_EXPR_FIB_RESULT, load.result);
    nftnl_expr_set_u32(e.get(), NFTNL_EXPR_FIB_FLAGS, load.flags);
    nftnl_expr_set_u32(e.get(), NFTNL_EXPR_FIB_DREG, reg);
    return e;
}

ExprPtr to_nftnl(const LoadSocket& load) {
    auto e = make("socket");
    nftnl_expr_set_u32(e.get(), NFTNL_EXPR_SOCKET_KEY, load.key);
    nftnl_expr_set_u32(e.get(), NFTNL_EXPR_SOCKET_DREG, reg);
    return e;
}

ExprPtr to_nftnl(const Bitwise& bitwise) {
    auto e = make("bitwise");
    nftnl_expr_set_u32(e.get(), NFTNL_EXPR_BITWISE_SREG, reg);
    nftnl_expr_set_u32(e.get(), NFTNL_EXPR_BITWISE_DREG, reg);
    nftnl_expr_set_u32(e.get(), NFTNL_EXPR_BITWISE_OP, NFT_BITWISE_BOOL);
    nftnl_expr_set_u32(e.get(), NFTNL_EXPR_BITWISE_LEN,
                       static_cast<std::uint32_t>(bitwise.mask.size()));
    set_data(e, NFTNL_EXPR_BITWISE_MASK, bitwise.mask);
    set_data(e, NFTNL_EXPR_BITWISE_XOR, bitwise.flip);
    return e;
}

ExprPtr to_nftnl(const ToNetworkOrder&) {
    constexpr std::uint32_t bytes = 4;
    auto e = make("byteorder");
    nftnl_expr_set_u32(e.get(), NFTNL_EXPR_BYTEORDER_SREG, reg);
    nftnl_expr_set_u32(e.get(), NFTNL_EXPR_BYTEORDER_DREG, reg);
    nftnl_expr_set_u32(e.get(), NFTNL_EXPR_BYTEORDER_OP, NFT_BYTEORDER_HTON);
    nftnl_expr_set_u32(e.get(), NFTNL_EXPR_BYTEORDER_LEN, bytes);
    nftnl_expr_set_u32(e.get(), NFTNL_EXPR_BYTEORDER_SIZE, bytes);
    return e;
}

ExprPtr to_nftnl(const Compare& compare) {
    auto e = make("cmp");
    nftnl_expr_set_u32(e.get(), NFTNL_EXPR_CMP_SREG, reg);
    nftnl_expr_set_u32(e.get(), NFTNL_EXPR_CMP_OP, compare.operation);
    set_data(e, NFTNL_EXPR_CMP_DATA, compare.with);
    return e;
}

ExprPtr to_nftnl(const Lookup& lookup) {
    auto e = make("lookup");
    nftnl_expr_set_u32(e.get(), NFTNL_EXPR_LOOKUP_SREG, reg);
    nftnl_expr_set_str(e.get(), NFTNL_EXPR_LOOKUP_SET, lookup.set.c_str());
    if (lookup.inverted)
        nftnl_expr_set_u32(e.get(), NFTNL_EXPR_LOOKUP_FLAGS, NFT_LOOKUP_F_INV);
    return e;
}

ExprPtr to_nftnl(const Update& update) {
    auto e = make("dynset");
    nftnl_expr_set_u32(e.get(), NFTNL_EXPR_DYNSET_SREG_KEY, reg);
    nftnl_expr_set_u32(e.get(), NFTNL_EXPR_DYNSET_OP, NFT_DYNSET_OP_UPDATE);
    nftnl_expr_set_u64(e.get(), NFTNL_EXPR_DYNSET_TIMEOUT, update.timeout_ms);
    nftnl_expr_set_str(e.get(), NFTNL_EXPR_DYNSET_SET_NAME, update.set.c_str());
    return e;
}

ExprPtr to_nftnl(const UpdateOverLimit& update) {
    auto limit = make("limit");
    nftnl_expr_set_u64(limit.get(), NFTNL_EXPR_LIMIT_RATE, update.per_second);
    nftnl_expr_set_u64(limit.get(), NFTNL_EXPR_LIMIT_UNIT, 1); // seconds
    nftnl_expr_set_u32(limit.get(), NFTNL_EXPR_LIMIT_BURST, update.burst);
    nftnl_expr_set_u32(limit.get(), NFTNL_EXPR_LIMIT_TYPE, NFT_LIMIT_PKTS);
    nftnl_expr_set_u32(limit.get(), NFTNL_EXPR_LIMIT_FLAGS, NFT_LIMIT_F_INV);
    auto e = to_nftnl(Update{update.set, update.timeout_ms});
    nftnl_expr_set(e.get(), NFTNL_EXPR_DYNSET_EXPR, limit.release(), 0); // `e` owns it now
    return e;
}

ExprPtr to_nftnl(const Notrack&) {
    return make("notrack");
}

ExprPtr to_nftnl(const Count&) {
    return make("counter");
}

ExprPtr to_nftnl(const Immediate& immediate) {
    auto e = make("immediate");
    nftnl_expr_set_u32(e.get(), NFTNL_EXPR_IMM_DREG, NFT_REG_VERDICT);
    nftnl_expr_set_u32(e.get(), NFTNL_EXPR_IMM_VERDICT,
                       static_cast<std::uint32_t>(immediate.verdict));
    if (!immediate.chain.empty())
        nftnl_expr_set_str(e.get(), NFTNL_EXPR_IMM_CHAIN, immediate.chain.c_str());
    return e;
}

ExprPtr to_nftnl(const Reject& reject) {
    auto e = make("reject");
    nftnl_expr_set_u32(e.get(), NFTNL_EXPR_REJECT_TYPE, reject.type);
    nftnl_expr_set_u8(e.get(), NFTNL_EXPR_REJECT_CODE, reject.code);
    return e;
}

ExprPtr native_queue(const ToQueue& queue) {
    const unsigned flags =
        NFT_QUEUE_FLAG_BYPASS | (queue.count > 1 ? NFT_QUEUE_FLAG_CPU_FANOUT : 0);
    auto e = make("queue");
    nftnl_expr_set_u16(e.get(), NFTNL_EXPR_QUEUE_NUM, queue.first);
    nftnl_expr_set_u16(e.get(), NFTNL_EXPR_QUEUE_TOTAL, queue.count);
    nftnl_expr_set_u16(e.get(), NFTNL_EXPR_QUEUE_FLAGS, static_cast<std::uint16_t>(flags));
    return e;
}

// The target of xtables, revision 3, through nft_compat; its size is rounded up as xtables aligns.
ExprPtr xt_queue(const ToQueue& queue) {
    constexpr std::size_t aligned = (sizeof(xt_NFQ_info_v3) + 7) / 8 * 8;
    xt_NFQ_info_v3 info{};
    info.queuenum = queue.first;
    info.queues_total = queue.count;
    info.flags =
        static_cast<std::uint16_t>(NFQ_FLAG_BYPASS | (queue.count > 1 ? NFQ_FLAG_CPU_FANOUT : 0));
    auto e = make("target");
    nftnl_expr_set_str(e.get(), NFTNL_EXPR_TG_NAME, "NFQUEUE");
    nftnl_expr_set_u32(e.get(), NFTNL_EXPR_TG_REV, 3);
    // libnftnl keeps this very memory and frees it with the expression.
    void* copy = checked(std::calloc(1, aligned));
    std::memcpy(copy, &info, sizeof info);
    nftnl_expr_set(e.get(), NFTNL_EXPR_TG_INFO, copy, aligned);
    return e;
}

ExprPtr to_nftnl(const ToQueue& queue) {
    return queue.native ? native_queue(queue) : xt_queue(queue);
}

} // namespace

void append(nftnl_rule* rule, const Expression& expression) {
    auto e = std::visit([](const auto& kind) { return to_nftnl(kind); }, expression);
    nftnl_rule_add_expr(rule, e.release()); // the rule owns it now
}

std::string_view modules(const Expression& expression) {
    if (std::holds_alternative<LoadCt>(expression) || std::holds_alternative<Notrack>(expression))
        return "nft_ct";
    if (std::holds_alternative<Count>(expression))
        return "nft_counter"; // a part of nf_tables from Linux 5.18 on
    if (std::holds_alternative<LoadFib>(expression))
        return "nft_fib_inet";
    if (std::holds_alternative<LoadSocket>(expression))
        return "nft_socket";
    if (std::holds_alternative<UpdateOverLimit>(expression))
        return "nft_limit";
    if (std::holds_alternative<Reject>(expression))
        return "nft_reject_inet";
    if (const auto* queue = std::get_if<ToQueue>(&expression))
        return queue->native ? "nft_queue" : "nft_compat, xt_NFQUEUE";
    return "";
}

} // namespace ubf::nft
