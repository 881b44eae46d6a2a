// Installs the ruleset, checks whether it is still there, and removes it. Touches the table `inet
// ubf` and nothing else, in the network namespace that the installer was made in.
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

// The kernel's ownership of a table: who else may change it, and its lifetime
// (linux/netfilter/nf_tables.h).
enum class Ownership : std::uint8_t {
    none,       // anybody may change it, and it stays
    socket,     // our socket alone, and the table ends with it (NFT_TABLE_F_OWNER, Linux 5.12)
    persistent, // our socket alone, and the table outlives it (..._PERSIST, Linux 6.9)
};

class Installer {
  public:
    // With a socket of its own. Throws NftError.
    Installer();
    // table: the connection that all writers of the table share. It must outlive the installer.
    explicit Installer(Connection& table)
      : table_(table) {}

    // Whether this kernel takes a rule of these expressions, with the sets that they use. Tries it,
    // and leaves nothing behind. Throws NftError if the attempt fails for another reason.
    bool can(const std::vector<Expression>& expressions, const std::vector<Set>& sets = {});
    // The most that this kernel can do.
    Ownership probe_ownership();

    // Makes missing tables, sets and chains, and replaces the rules in one transaction. If the
    // elements of a set change, the set is made anew (see live_sets.hpp). Base chains are never
    // deleted, so queued packets keep waiting. If the table needs an ownership that the kernel
    // can't give it, the table is deleted and made anew. This is one transaction too, so no packet
    // meets fewer rules. Throws NftError naming the object, and then nothing has changed.
    // generation: see Batch. Throws NftError with ERESTART if the ruleset is another by now.
    void install(const Ruleset& ruleset, Ownership ownership = Ownership::none,
                 std::optional<std::uint32_t> generation = {});
    // Installs without ownership, in place of any table of that name. Queued packets are dropped.
    void install_afresh(const Ruleset& ruleset);
    // Installs the same rules in a table beside it, while the table itself is not available. The
    // next install() removes this stand-in.
    void install_stand_in(const Ruleset& ruleset);
    // Does nothing if there is no table. Throws NftError if the table is still there afterwards.
    void remove();
    // Nothing if there is no table. Throws NftError.
    std::optional<TableState> state();
    // Whether the table is there, and our socket owns it. Throws NftError.
    bool owned();

    // Waits for all transactions that began before this call. During a transaction, a reader sees a
    // mix of old and new, already under the new generation (nf_tables_commit() counts first).
    void await_transactions();

    // The differences from the ruleset, each named; empty if there are none.
    Result<std::vector<std::string>, NftError> missing(const Ruleset& ruleset);
    // The ruleset's generation, which changes with every change in this network namespace.
    Result<std::uint32_t, NftError> generation();
    // The sums of the counting rules, by counter_name().
    Result<std::map<std::string, RuleCounter>, NftError> counters();

  private:
    void put(const char* table, const Ruleset& ruleset, std::uint32_t flags,
             std::optional<std::uint32_t> generation);
    void commit(Batch& batch);
    bool table_is_there(const char* table);
    LiveSets live_sets_of(const char* table, const Ruleset& ruleset);

    std::unique_ptr<Connection> own_; // if none is shared
    Connection& table_;
    // A connection for reading only, so that no writer waits for a reader.
    Connection reader_;
};

} // namespace ubf::nft
