// Puts the ruleset into the kernel, looks whether it is still there, takes it away again. Touches
// the table `inet ubf` and nothing else. Of the network namespace that it was made in.
#pragma once

#include "base/result.hpp"
#include "nft/connection.hpp"
#include "nft/error.hpp"
#include "nft/ruleset.hpp"

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace ubf::nft {

struct RuleCounter {
    std::uint64_t packets = 0;
    std::uint64_t bytes = 0;
};

class Installer {
  public:
    // Throws NftError.
    Installer() = default;

    // Whether this kernel takes a rule of these, and those of the sets that they use; found out by
    // trying, and nothing stays of it. Throws NftError when that can't be found out.
    bool can(const std::vector<Expression>& expressions, const std::vector<Set>& sets = {});

    // One transaction: makes table, sets and chains where they are missing, and replaces what hangs
    // in them. Base chains are never deleted, so packets that wait keep waiting. Throws NftError
    // naming the object, and then nothing has changed.
    void install(const Ruleset& ruleset);
    // The same in place of any table of that name. Packets that wait in a queue are dropped.
    void install_afresh(const Ruleset& ruleset);
    // Does nothing when there is no table. Throws NftError when it is still there afterwards.
    void remove();

    // What differs, each named; empty when all is as it should be.
    Result<std::vector<std::string>, NftError> missing(const Ruleset& ruleset);
    // Changes with every change of any ruleset of this network namespace.
    Result<std::uint32_t, NftError> generation();
    // The sums of the rules that count, by counter_name().
    Result<std::map<std::string, RuleCounter>, NftError> counters();

  private:
    void commit(Batch& batch);

    Connection connection_;
};

} // namespace ubf::nft
