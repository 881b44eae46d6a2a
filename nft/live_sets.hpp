// Interval sets that change while packets are looked up in them: a lookup can miss an element. On
// Linux 6.1, during a change in place, one packet in nine missed an element that was there before
// and after. (If two intervals begin alike, nft_rbtree_lookup() looks at the newer, which does not
// hold yet.) Linux 6.18 cures that. But there, one packet in a hundred found nothing in a set that
// a single transaction made and used. Such a set is filled at the very end. If an address is
// missed, it counts as no peer's; a missed port counts as not watched.
//
// So a set is never changed. A transaction of its own makes and fills a new set under another name.
// The next transaction points the rules to the new set. Both kernels switch from one packet to the
// next: none of 340,000 packets missed.
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
    std::set<std::string> there{};    // sets that have their elements already
    std::vector<std::string> stale{}; // sets to delete once no rule uses them
};

// The sets to make and fill.
std::vector<Set> fresh(const LiveSets& live);

// A set's own name and its alternatives: "ports", "ports_2", "ports_3".
std::vector<std::string> names_of(const Set& set);
// Renames sets, also in the rules that use them. Pure.
Ruleset renamed(Ruleset ruleset, const std::map<std::string, std::string>& names);

// For a change. present: the names of all sets of the table; is_there: whether the table's set of
// that name has these elements.
LiveSets live_sets(Ruleset ruleset, const std::set<std::string>& present,
                   const std::function<bool(const Set&)>& is_there);
// For a comparison: uses the names that the sets of the table have now.
Ruleset as_present(Ruleset ruleset, const std::set<std::string>& present);

} // namespace ubf::nft
