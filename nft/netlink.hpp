// Our rules as libnftnl objects, and the messages that carry them.
#pragma once

#include "nft/ruleset.hpp"

#include <libmnl/libmnl.h>
#include <libnftnl/chain.h>
#include <libnftnl/rule.h>
#include <libnftnl/set.h>
#include <libnftnl/table.h>
#include <memory>
#include <optional>
#include <string>

namespace ubf::nft {

template<typename T, void (*release)(const T*)>
struct Release {
    void operator()(const T* object) const { release(object); }
};

template<typename T, void (*release)(const T*)>
using NftnlPtr = std::unique_ptr<T, Release<T, release>>;

using TablePtr = NftnlPtr<nftnl_table, nftnl_table_free>;
using ChainPtr = NftnlPtr<nftnl_chain, nftnl_chain_free>;
using RulePtr = NftnlPtr<nftnl_rule, nftnl_rule_free>;
using SetPtr = NftnlPtr<nftnl_set, nftnl_set_free>;

// They throw std::bad_alloc when libnftnl has no memory.
TablePtr to_nftnl(const char* table);
ChainPtr to_nftnl(const char* table, const Chain& chain);
RulePtr to_nftnl(const char* table, const std::string& chain, const Rule& rule);
SetPtr to_nftnl(const char* table, const Set& set, std::uint32_t id);
// The elements [first, last) of what interval_elements() gave.
void add_elements(nftnl_set* set, const std::vector<struct Boundary>& boundaries, std::size_t first,
                  std::size_t last);

// What the kernel keeps of an interval set: where one begins, and where it is over.
struct Boundary {
    Bytes key;
    bool end;

    auto operator<=>(const Boundary&) const = default;
};

// Sorted; intervals that touch are one.
std::vector<Boundary> boundaries(const Set& set);

// The comment that names a rule, where it has one.
std::optional<std::string> rule_id(const nftnl_rule* rule);

} // namespace ubf::nft
