// Hands the keys of pairs, and the words that count, to the programs that recognise. They hold for
// one generation: when the roster or the configuration changes, the next one begins without any.
#pragma once

#include "base/unique_fd.hpp"
#include "daemon/ident/stamp_keys.hpp"
#include "daemon/recognition/bpf/recognition.h"

namespace ubf {

class PairKeys final : public ident::StampKeys {
  public:
    // pairs, words: the maps, of which this keeps descriptors of its own.
    PairKeys(int pairs, int words, std::uint32_t generation);

    void learn(const Address& address, const Pair& pair) override;
    void count_word(const Address& address, Uid uid, identity::Seconds until) override;

    // Removes the entries of all generations.
    static void clear(int pairs, int words);

  private:
    const UniqueFd pairs_;
    const UniqueFd words_;
    const std::uint32_t generation_;
};

} // namespace ubf
