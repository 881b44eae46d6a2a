// Puts the ruleset into the kernel, looks whether it is still there, takes it away again. Touches
// the table `inet ubf` and nothing else. Of the network namespace that it was made in.
#pragma once

#include "base/result.hpp"
#include "nft/connection.hpp"
#include "nft/error.hpp"
#include "nft/inspection.hpp"
#include "nft/live_sets.hpp"
#include "nft/ruleset.hpp"

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace ubf::nft {

struct RuleCounter {
    std::uint64_t packets = 0;
    std::uint64_t bytes = 0;
};

// Who may change the table beside us, and how long it lives (linux/netfilter/nf_tables.h).
enum class Ownership : std::uint8_t {
    none,       // everybody may, and it stays
    socket,     // our socket alone, and it goes with the socket (NFT_TABLE_F_OWNER, Linux 5.12)
    persistent, // our socket alone, and it stays, anybody's, without it (..._PERSIST, Linux 6.9)
};

class Installer {
  public:
    // With a socket of its own. Throws NftError.
    Installer();
    // table: the socket that all share who write into the table; it must outlive this.
    explicit Installer(Connection& table)
      : table_(table) {}

    // Whether this kernel takes a rule of these, and those of the sets that they use; found out by
    // trying, and nothing stays of it. Throws NftError when that can't be found out.
    bool can(const std::vector<Expression>& expressions, const std::vector<Set>& sets = {});
    // The most that this kernel can do.
    Ownership probe_ownership();

    // One transaction: makes table, sets and chains where they are missing, and replaces what hangs
    // in them; a set of which an element changes is made anew (see live_sets.hpp). Base chains are
    // never deleted, so packets that wait keep waiting; but for a table that is to have another
    // ownership, which the kernel lets nobody change: such a one is deleted and made anew, within
    // the transaction, so that no packet meets less. Throws NftError naming the object, and then
    // nothing has changed. generation: see Batch; NftError with ERESTART where the ruleset is
    // another by now.
    void install(const Ruleset& ruleset, Ownership ownership = Ownership::none,
                 std::optional<std::uint32_t> generation = {});
    // Without ownership, in place of any table of that name. Packets that wait in a queue are
    // dropped.
    void install_afresh(const Ruleset& ruleset);
    // The same rules in a table beside it, for the time in which it can't be had; the next
    // install() takes that away.
    void install_stand_in(const Ruleset& ruleset);
    // Does nothing when there is no table. Throws NftError when it is still there afterwards.
    void remove();
    // Nothing where there is no table. Throws NftError.
    std::optional<TableState> state();
    // Whether it is there, and our socket owns it. Throws NftError.
    bool owned();

    // Returns when no transaction is on its way that began before: until one is done, reading sees
    // some of what was and some of what will be, under the new generation already
    // (nf_tables_commit() counts first).
    void await_transactions();

    // What differs, each named; empty when all is as it should be.
    Result<std::vector<std::string>, NftError> missing(const Ruleset& ruleset);
    // Changes with every change of any ruleset of this network namespace.
    Result<std::uint32_t, NftError> generation();
    // The sums of the rules that count, by counter_name().
    Result<std::map<std::string, RuleCounter>, NftError> counters();

  private:
    void put(const char* table, const Ruleset& ruleset, std::uint32_t flags,
             std::optional<std::uint32_t> generation);
    void commit(Batch& batch);
    bool table_is_there(const char* table);
    LiveSets live_sets_of(const char* table, const Ruleset& ruleset);

    std::unique_ptr<Connection> own_; // where none is shared
    Connection& table_;
    // Reads by itself, so that nobody who writes waits for it.
    Connection reader_;
};

} // namespace ubf::nft
