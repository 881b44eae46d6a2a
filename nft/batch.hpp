// The messages of one transaction, each with a description for its failure.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

struct nlmsghdr;

namespace ubf::nft {

// The longest message: a rule, or a part of a set's elements.
inline constexpr std::size_t message_room = 65536;

struct Step {
    std::string what;                  // "adding the chain gate"
    std::string modules = "nf_tables"; // whose absence can make it fail
};

class Batch {
  public:
    // Numbers its messages from `sequence`, which must outlive the batch. Other threads may use
    // `sequence` at the same time.
    // generation: if the ruleset has another generation by then, the kernel does nothing and
    // answers ERESTART.
    explicit Batch(std::atomic<std::uint32_t>& sequence,
                   std::optional<std::uint32_t> generation = {});

    // `fill` puts the attributes behind the header. Type and flags: NFT_MSG_*, NLM_F_*.
    void add(std::uint16_t type, std::uint16_t flags, Step step,
             const std::function<void(nlmsghdr*)>& fill);
    // Closes the batch. Returns it as one datagram, which lives as long as the batch.
    std::span<const std::uint8_t> finish();

    std::uint32_t begin() const { return begin_; }
    const std::map<std::uint32_t, Step>& steps() const { return steps_; }

  private:
    template<typename Build>
    std::uint32_t append(Build build);

    std::atomic<std::uint32_t>& sequence_;
    std::unique_ptr<char[]> room_;
    std::vector<std::uint8_t> bytes_;
    std::map<std::uint32_t, Step> steps_; // by sequence number
    std::uint32_t begin_;                 // that of the first message
};

} // namespace ubf::nft
