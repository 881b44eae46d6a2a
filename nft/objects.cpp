#include "nft/objects.hpp"

#include "nft/key.hpp"

#include <cstring>
#include <libnftnl/udata.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>

namespace ubf::nft {
namespace {

struct FreeUdata {
    void operator()(nftnl_udata_buf* buffer) const { nftnl_udata_buf_free(buffer); }
};
using UdataPtr = std::unique_ptr<nftnl_udata_buf, FreeUdata>;

UdataPtr make_udata() {
    return UdataPtr(checked(nftnl_udata_buf_alloc(NFT_USERDATA_MAXLEN)));
}

} // namespace

TablePtr table_object(const char* table) {
    TablePtr object(checked(nftnl_table_alloc()));
    nftnl_table_set_u32(object.get(), NFTNL_TABLE_FAMILY, NFPROTO_INET);
    nftnl_table_set_str(object.get(), NFTNL_TABLE_NAME, table);
    return object;
}

ChainPtr chain_object(const char* table, const Chain& chain) {
    ChainPtr object(checked(nftnl_chain_alloc()));
    nftnl_chain_set_u32(object.get(), NFTNL_CHAIN_FAMILY, NFPROTO_INET);
    nftnl_chain_set_str(object.get(), NFTNL_CHAIN_TABLE, table);
    nftnl_chain_set_str(object.get(), NFTNL_CHAIN_NAME, chain.name.c_str());
    if (chain.hook) {
        nftnl_chain_set_str(object.get(), NFTNL_CHAIN_TYPE, "filter");
        nftnl_chain_set_u32(object.get(), NFTNL_CHAIN_HOOKNUM, chain.hook->number);
        nftnl_chain_set_s32(object.get(), NFTNL_CHAIN_PRIO, chain.hook->priority);
        nftnl_chain_set_u32(object.get(), NFTNL_CHAIN_POLICY, NF_ACCEPT);
    }
    return object;
}

RulePtr rules_object(const char* table, const std::string& chain) {
    RulePtr object(checked(nftnl_rule_alloc()));
    nftnl_rule_set_u32(object.get(), NFTNL_RULE_FAMILY, NFPROTO_INET);
    nftnl_rule_set_str(object.get(), NFTNL_RULE_TABLE, table);
    nftnl_rule_set_str(object.get(), NFTNL_RULE_CHAIN, chain.c_str());
    return object;
}

RulePtr rule_object(const char* table, const std::string& chain, const Rule& rule) {
    auto object = rules_object(table, chain);
    const auto udata = make_udata();
    nftnl_udata_put_strz(udata.get(), NFTNL_UDATA_RULE_COMMENT, rule.id.c_str());
    nftnl_rule_set_data(object.get(), NFTNL_RULE_USERDATA, nftnl_udata_buf_data(udata.get()),
                        nftnl_udata_buf_len(udata.get()));
    for (const auto& statement : rule.statements)
        for (const auto& expression : statement.expressions)
            append(object.get(), expression);
    return object;
}

SetPtr set_object(const char* table, const Set& set, std::span<const Boundary> elements) {
    SetPtr object(checked(nftnl_set_alloc()));
    const auto type = key_type(set.type);
    nftnl_set_set_u32(object.get(), NFTNL_SET_FAMILY, NFPROTO_INET);
    nftnl_set_set_str(object.get(), NFTNL_SET_TABLE, table);
    nftnl_set_set_str(object.get(), NFTNL_SET_NAME, set.name.c_str());
    // The kernel insists on an id, for sets without a name; ours go by name.
    nftnl_set_set_u32(object.get(), NFTNL_SET_ID, 0);
    nftnl_set_set_u32(object.get(), NFTNL_SET_KEY_TYPE, type.number);
    nftnl_set_set_u32(object.get(), NFTNL_SET_KEY_LEN, type.length);
    if (set.is_interval())
        nftnl_set_set_u32(object.get(), NFTNL_SET_FLAGS, NFT_SET_INTERVAL);
    if (set.is_dynamic()) {
        const std::uint32_t evaluated = set.updated_by_packets ? NFT_SET_EVAL : 0;
        nftnl_set_set_u32(object.get(), NFTNL_SET_FLAGS, NFT_SET_TIMEOUT | evaluated);
        nftnl_set_set_u32(object.get(), NFTNL_SET_DESC_SIZE, set.room);
    }
    const auto udata = make_udata();
    nftnl_udata_put_u32(udata.get(), NFTNL_UDATA_SET_KEYBYTEORDER, type.byte_order);
    nftnl_set_set_data(object.get(), NFTNL_SET_USERDATA, nftnl_udata_buf_data(udata.get()),
                       nftnl_udata_buf_len(udata.get()));
    for (const auto& boundary : elements) {
        nftnl_set_elem* element = checked(nftnl_set_elem_alloc());
        nftnl_set_elem_add(object.get(), element); // the set owns it now
        nftnl_set_elem_set(element, NFTNL_SET_ELEM_KEY, boundary.key.data(),
                           static_cast<std::uint32_t>(boundary.key.size()));
        if (boundary.end)
            nftnl_set_elem_set_u32(element, NFTNL_SET_ELEM_FLAGS, NFT_SET_ELEM_INTERVAL_END);
    }
    return object;
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
