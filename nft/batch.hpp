// The messages of one transaction, each with the words for its failure.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

struct nlmsghdr;

namespace ubf::nft {

// How long one message may be: a rule, or a part of a set's elements.
inline constexpr std::size_t message_room = 65536;

struct Step {
    std::string what;                  // "adding the chain gate"
    std::string modules = "nf_tables"; // whose absence can make it fail
};

class Batch {
  public:
    // Counts on from `sequence`, which must outlive the batch.
    explicit Batch(std::uint32_t& sequence);

    // `fill` puts the attributes behind the header. Type and flags: NFT_MSG_*, NLM_F_*.
    void add(std::uint16_t type, std::uint16_t flags, Step step,
             const std::function<void(nlmsghdr*)>& fill);
    // Closes the batch; what is to be sent, as one datagram. Lives as long as the batch.
    std::span<const std::uint8_t> finish();

    std::uint32_t begin() const { return begin_; }
    const std::map<std::uint32_t, Step>& steps() const { return steps_; }

  private:
    template<typename Build>
    void append(Build build);

    std::uint32_t& sequence_;
    std::uint32_t begin_; // the sequence number of the first message
    std::vector<char> room_;
    std::vector<std::uint8_t> bytes_;
    std::map<std::uint32_t, Step> steps_; // by sequence number
};

} // namespace ubf::nft
