// Tables, chains, rules and sets as libnftnl's objects. The functions throw std::bad_alloc when
// libnftnl has no memory.
#pragma once

#include "nft/interval.hpp"
#include "nft/ptr.hpp"
#include "nft/ruleset.hpp"

#include <libnftnl/chain.h>
#include <libnftnl/rule.h>
#include <libnftnl/set.h>
#include <libnftnl/table.h>
#include <optional>
#include <span>
#include <string>

namespace ubf::nft {

using TablePtr = NftnlPtr<nftnl_table, nftnl_table_free>;
using ChainPtr = NftnlPtr<nftnl_chain, nftnl_chain_free>;
using RulePtr = NftnlPtr<nftnl_rule, nftnl_rule_free>;
using SetPtr = NftnlPtr<nftnl_set, nftnl_set_free>;

TablePtr table_object(const char* table);
ChainPtr chain_object(const char* table, const Chain& chain);
// Every rule of the chain, for a deletion.
RulePtr rules_object(const char* table, const std::string& chain);
RulePtr rule_object(const char* table, const std::string& chain, const Rule& rule);
// Without elements: the set itself, or all its elements, for a deletion.
SetPtr set_object(const char* table, const Set& set, std::span<const Boundary> elements = {});

// The comment that names a rule, if it has one.
std::optional<std::string> rule_id(const nftnl_rule* rule);

} // namespace ubf::nft
