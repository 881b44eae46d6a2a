#include "nft/batch.hpp"

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <libnftnl/common.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>

namespace ubf::nft {

template<typename Build>
std::uint32_t Batch::append(Build build) {
    const std::uint32_t number = ++sequence_;
    const nlmsghdr* message = build(room_.get(), number);
    bytes_.insert(bytes_.end(), room_.get(), room_.get() + message->nlmsg_len);
    return number;
}

Batch::Batch(std::atomic<std::uint32_t>& sequence, std::optional<std::uint32_t> generation)
  : sequence_(sequence)
  , room_(std::make_unique_for_overwrite<char[]>(message_room)) // each message clears its own part
  , begin_(append([&](char* room, std::uint32_t number) {
      auto* message = reinterpret_cast<nlmsghdr*>(nftnl_batch_begin(room, number));
      if (generation)
          mnl_attr_put_u32(message, NFNL_BATCH_GENID, htonl(*generation));
      return message;
  })) {}

void Batch::add(std::uint16_t type, std::uint16_t flags, Step step,
                const std::function<void(nlmsghdr*)>& fill) {
    append([&](char* room, std::uint32_t number) {
        steps_.emplace(number, std::move(step));
        auto* message = nftnl_nlmsg_build_hdr(
            room, type, NFPROTO_INET, static_cast<std::uint16_t>(flags | NLM_F_ACK), number);
        fill(message);
        return message;
    });
}

std::span<const std::uint8_t> Batch::finish() {
    append([](char* room, std::uint32_t number) { return nftnl_batch_end(room, number); });
    return bytes_;
}

} // namespace ubf::nft
