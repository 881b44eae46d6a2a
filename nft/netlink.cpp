#include "nft/netlink.hpp"

#include <algorithm>
#include <cstring>
#include <libnftnl/expr.h>
#include <libnftnl/udata.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/xt_NFQUEUE.h>
#include <new>
#include <stdexcept>

namespace ubf::nft {
namespace {

constexpr std::uint32_t reg = NFT_REG_1;

nftnl_expr* make(const char* name) {
    nftnl_expr* expression = nftnl_expr_alloc(name);
    if (expression == nullptr)
        throw std::bad_alloc();
    return expression;
}

void set_data(nftnl_expr* expression, std::uint16_t attribute, const Bytes& bytes) {
    nftnl_expr_set(expression, attribute, bytes.data(), static_cast<std::uint32_t>(bytes.size()));
}

nftnl_expr* to_expr(const LoadMeta& load) {
    auto* e = make("meta");
    nftnl_expr_set_u32(e, NFTNL_EXPR_META_KEY, load.key);
    nftnl_expr_set_u32(e, NFTNL_EXPR_META_DREG, reg);
    return e;
}

nftnl_expr* to_expr(const StoreMeta& store) {
    auto* e = make("meta");
    nftnl_expr_set_u32(e, NFTNL_EXPR_META_KEY, store.key);
    nftnl_expr_set_u32(e, NFTNL_EXPR_META_SREG, reg);
    return e;
}

nftnl_expr* to_expr(const LoadCt& load) {
    auto* e = make("ct");
    nftnl_expr_set_u32(e, NFTNL_EXPR_CT_KEY, load.key);
    nftnl_expr_set_u32(e, NFTNL_EXPR_CT_DREG, reg);
    return e;
}

nftnl_expr* to_expr(const StoreCt& store) {
    auto* e = make("ct");
    nftnl_expr_set_u32(e, NFTNL_EXPR_CT_KEY, store.key);
    nftnl_expr_set_u32(e, NFTNL_EXPR_CT_SREG, reg);
    return e;
}

nftnl_expr* to_expr(const LoadPayload& load) {
    auto* e = make("payload");
    nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_BASE, load.base);
    nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_OFFSET, load.offset);
    nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_LEN, load.length);
    nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_DREG, reg);
    return e;
}

nftnl_expr* to_expr(const Bitwise& bitwise) {
    auto* e = make("bitwise");
    nftnl_expr_set_u32(e, NFTNL_EXPR_BITWISE_SREG, reg);
    nftnl_expr_set_u32(e, NFTNL_EXPR_BITWISE_DREG, reg);
    nftnl_expr_set_u32(e, NFTNL_EXPR_BITWISE_OP, NFT_BITWISE_BOOL);
    nftnl_expr_set_u32(e, NFTNL_EXPR_BITWISE_LEN, static_cast<std::uint32_t>(bitwise.mask.size()));
    set_data(e, NFTNL_EXPR_BITWISE_MASK, bitwise.mask);
    set_data(e, NFTNL_EXPR_BITWISE_XOR, bitwise.flip);
    return e;
}

nftnl_expr* to_expr(const Compare& compare) {
    auto* e = make("cmp");
    nftnl_expr_set_u32(e, NFTNL_EXPR_CMP_SREG, reg);
    nftnl_expr_set_u32(e, NFTNL_EXPR_CMP_OP, compare.operation);
    set_data(e, NFTNL_EXPR_CMP_DATA, compare.with);
    return e;
}

nftnl_expr* to_expr(const Lookup& lookup) {
    auto* e = make("lookup");
    nftnl_expr_set_u32(e, NFTNL_EXPR_LOOKUP_SREG, reg);
    nftnl_expr_set_str(e, NFTNL_EXPR_LOOKUP_SET, lookup.set.c_str());
    if (lookup.inverted)
        nftnl_expr_set_u32(e, NFTNL_EXPR_LOOKUP_FLAGS, NFT_LOOKUP_F_INV);
    return e;
}

nftnl_expr* to_expr(const Count&) {
    return make("counter");
}

nftnl_expr* to_expr(const Immediate& immediate) {
    auto* e = make("immediate");
    nftnl_expr_set_u32(e, NFTNL_EXPR_IMM_DREG, NFT_REG_VERDICT);
    nftnl_expr_set_u32(e, NFTNL_EXPR_IMM_VERDICT, static_cast<std::uint32_t>(immediate.verdict));
    if (!immediate.chain.empty())
        nftnl_expr_set_str(e, NFTNL_EXPR_IMM_CHAIN, immediate.chain.c_str());
    return e;
}

nftnl_expr* to_expr(const Reject& reject) {
    auto* e = make("reject");
    nftnl_expr_set_u32(e, NFTNL_EXPR_REJECT_TYPE, reject.type);
    nftnl_expr_set_u8(e, NFTNL_EXPR_REJECT_CODE, reject.code);
    return e;
}

nftnl_expr* native_queue(const ToQueue& queue) {
    const unsigned flags =
        NFT_QUEUE_FLAG_BYPASS | (queue.count > 1 ? NFT_QUEUE_FLAG_CPU_FANOUT : 0);
    auto* e = make("queue");
    nftnl_expr_set_u16(e, NFTNL_EXPR_QUEUE_NUM, queue.first);
    nftnl_expr_set_u16(e, NFTNL_EXPR_QUEUE_TOTAL, queue.count);
    nftnl_expr_set_u16(e, NFTNL_EXPR_QUEUE_FLAGS, static_cast<std::uint16_t>(flags));
    return e;
}

// The target of xtables, revision 3, through nft_compat. libnftnl takes the information over and
// frees it; its size is rounded up as xtables aligns.
nftnl_expr* xt_queue(const ToQueue& queue) {
    constexpr std::size_t aligned = (sizeof(xt_NFQ_info_v3) + 7) / 8 * 8;
    xt_NFQ_info_v3 info{};
    info.queuenum = queue.first;
    info.queues_total = queue.count;
    info.flags =
        static_cast<std::uint16_t>(NFQ_FLAG_BYPASS | (queue.count > 1 ? NFQ_FLAG_CPU_FANOUT : 0));
    void* copy = std::calloc(1, aligned);
    if (copy == nullptr)
        throw std::bad_alloc();
    std::memcpy(copy, &info, sizeof info);
    auto* e = make("target");
    nftnl_expr_set_str(e, NFTNL_EXPR_TG_NAME, "NFQUEUE");
    nftnl_expr_set_u32(e, NFTNL_EXPR_TG_REV, 3);
    nftnl_expr_set(e, NFTNL_EXPR_TG_INFO, copy, aligned);
    return e;
}

nftnl_expr* to_expr(const ToQueue& queue) {
    return queue.native ? native_queue(queue) : xt_queue(queue);
}

struct DataType {
    std::uint32_t number; // nft's own, so that `nft list` shows the elements as what they are
    std::uint32_t length;
};

DataType data_type(SetType type) {
    switch (type) {
    case SetType::ipv4:
        return {7, 4};
    case SetType::ipv6:
        return {8, 16};
    case SetType::port:
        return {13, 2};
    case SetType::interface:
        return {41, 16};
    }
    throw std::logic_error("a set of no type");
}

// The number behind this one; nothing behind the last.
std::optional<Bytes> successor(Bytes bytes) {
    for (auto byte = bytes.rbegin(); byte != bytes.rend(); ++byte)
        if (++*byte != 0)
            return bytes;
    return std::nullopt;
}

struct Udata {
    nftnl_udata_buf* buffer = nftnl_udata_buf_alloc(NFT_USERDATA_MAXLEN);
    Udata() {
        if (buffer == nullptr)
            throw std::bad_alloc();
    }
    ~Udata() { nftnl_udata_buf_free(buffer); }
    Udata(const Udata&) = delete;
    Udata& operator=(const Udata&) = delete;
};

template<typename T>
T* checked(T* object) {
    if (object == nullptr)
        throw std::bad_alloc();
    return object;
}

} // namespace

TablePtr to_nftnl(const char* table) {
    TablePtr object(checked(nftnl_table_alloc()));
    nftnl_table_set_u32(object.get(), NFTNL_TABLE_FAMILY, NFPROTO_INET);
    nftnl_table_set_str(object.get(), NFTNL_TABLE_NAME, table);
    return object;
}

ChainPtr to_nftnl(const char* table, const Chain& chain) {
    ChainPtr object(checked(nftnl_chain_alloc()));
    nftnl_chain_set_u32(object.get(), NFTNL_CHAIN_FAMILY, NFPROTO_INET);
    nftnl_chain_set_str(object.get(), NFTNL_CHAIN_TABLE, table);
    nftnl_chain_set_str(object.get(), NFTNL_CHAIN_NAME, chain.name.c_str());
    if (chain.priority) {
        nftnl_chain_set_str(object.get(), NFTNL_CHAIN_TYPE, "filter");
        nftnl_chain_set_u32(object.get(), NFTNL_CHAIN_HOOKNUM, NF_INET_LOCAL_IN);
        nftnl_chain_set_s32(object.get(), NFTNL_CHAIN_PRIO, *chain.priority);
        nftnl_chain_set_u32(object.get(), NFTNL_CHAIN_POLICY, NF_ACCEPT);
    }
    return object;
}

RulePtr to_nftnl(const char* table, const std::string& chain, const Rule& rule) {
    RulePtr object(checked(nftnl_rule_alloc()));
    nftnl_rule_set_u32(object.get(), NFTNL_RULE_FAMILY, NFPROTO_INET);
    nftnl_rule_set_str(object.get(), NFTNL_RULE_TABLE, table);
    nftnl_rule_set_str(object.get(), NFTNL_RULE_CHAIN, chain.c_str());
    const Udata udata;
    nftnl_udata_put_strz(udata.buffer, NFTNL_UDATA_RULE_COMMENT, rule.id.c_str());
    nftnl_rule_set_data(object.get(), NFTNL_RULE_USERDATA, nftnl_udata_buf_data(udata.buffer),
                        nftnl_udata_buf_len(udata.buffer));
    for (const auto& statement : rule.statements)
        for (const auto& expression : statement.expressions)
            nftnl_rule_add_expr(object.get(),
                                std::visit([](const auto& e) { return to_expr(e); }, expression));
    return object;
}

SetPtr to_nftnl(const char* table, const Set& set, std::uint32_t id) {
    SetPtr object(checked(nftnl_set_alloc()));
    const auto type = data_type(set.type);
    nftnl_set_set_u32(object.get(), NFTNL_SET_FAMILY, NFPROTO_INET);
    nftnl_set_set_str(object.get(), NFTNL_SET_TABLE, table);
    nftnl_set_set_str(object.get(), NFTNL_SET_NAME, set.name.c_str());
    nftnl_set_set_u32(object.get(), NFTNL_SET_ID, id);
    nftnl_set_set_u32(object.get(), NFTNL_SET_KEY_TYPE, type.number);
    nftnl_set_set_u32(object.get(), NFTNL_SET_KEY_LEN, type.length);
    if (set.is_interval())
        nftnl_set_set_u32(object.get(), NFTNL_SET_FLAGS, NFT_SET_INTERVAL);
    return object;
}

void add_elements(nftnl_set* set, const std::vector<Boundary>& boundaries, std::size_t first,
                  std::size_t last) {
    for (std::size_t i = first; i < last; ++i) {
        nftnl_set_elem* element = checked(nftnl_set_elem_alloc());
        nftnl_set_elem_set(element, NFTNL_SET_ELEM_KEY, boundaries[i].key.data(),
                           static_cast<std::uint32_t>(boundaries[i].key.size()));
        if (boundaries[i].end)
            nftnl_set_elem_set_u32(element, NFTNL_SET_ELEM_FLAGS, NFT_SET_ELEM_INTERVAL_END);
        nftnl_set_elem_add(set, element);
    }
}

std::vector<Boundary> boundaries(const Set& set) {
    std::vector<Boundary> result;
    if (!set.is_interval()) {
        for (const auto& element : set.elements)
            result.push_back({element.first, false});
        std::ranges::sort(result);
        return result;
    }
    auto elements = set.elements;
    std::ranges::sort(elements, {}, &Set::Element::first);
    for (const auto& element : elements) {
        const bool touches =
            !result.empty() && result.back().end && result.back().key == element.first;
        if (touches)
            result.pop_back();
        else
            result.push_back({element.first, false});
        if (auto end = successor(element.last))
            result.push_back({std::move(*end), true});
    }
    return result;
}

std::optional<std::string> rule_id(const nftnl_rule* rule) {
    std::uint32_t length = 0;
    const void* data = nftnl_rule_get_data(rule, NFTNL_RULE_USERDATA, &length);
    if (data == nullptr)
        return std::nullopt;
    std::optional<std::string> id;
    nftnl_udata_parse(
        data, length,
        [](const nftnl_udata* item, void* context) {
            if (nftnl_udata_type(item) == NFTNL_UDATA_RULE_COMMENT && nftnl_udata_len(item) > 0) {
                const auto* text = static_cast<const char*>(nftnl_udata_get(item));
                *static_cast<std::optional<std::string>*>(context) =
                    std::string(text, ::strnlen(text, nftnl_udata_len(item)));
            }
            return 0;
        },
        &id);
    return id;
}

} // namespace ubf::nft
