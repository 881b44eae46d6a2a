// Sets of intervals that packets look into while a transaction changes them, which is when they do
// not find what is there. On Linux 6.1, of packets that came while such a set changed in its place,
// one in nine did not find an element that it had before and after (nft_rbtree_lookup(): of
// two intervals that begin alike it looks at the newer, which does not hold yet). On 6.18 that is
// cured; but there one in a hundred found nothing in a set that was made and looked into by one
// transaction, which is filled at its very end. An address that is not found is no peer's, and a
// port is not watched.
//
// So a set is never changed. One with other elements is made, and filled, by a transaction of its
// own, under another name; and the next one lets the rules look there, which is done from one
// packet to the other on both kernels: none of 340,000 packets missed.
#pragma once

#include "nft/ruleset.hpp"

#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace ubf::nft {

struct LiveSets {
    Ruleset ruleset;                  // with the names that its sets have from now on
    std::set<std::string> there{};    // these have their elements already
    std::vector<std::string> stale{}; // and these are to go, once no rule looks into them
};

// Those that are to be made and filled.
std::vector<Set> fresh(const LiveSets& live);

// A set's own name, or one of its others: "ports", "ports_2", "ports_3".
std::vector<std::string> names_of(const Set& set);
// Renames sets, and what looks into them. Pure.
Ruleset renamed(Ruleset ruleset, const std::map<std::string, std::string>& names);

// For a change. present: the names of all sets of the table; is_there: whether the set of that name
// is this one, with these elements.
LiveSets live_sets(Ruleset ruleset, const std::set<std::string>& present,
                   const std::function<bool(const Set&)>& is_there);
// For a look: with the names that the sets of the table have now.
Ruleset as_present(Ruleset ruleset, const std::set<std::string>& present);

} // namespace ubf::nft
