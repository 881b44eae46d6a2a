// A key of a set, loaded part by part from a packet into consecutive registers.
#pragma once

#include "nft/key.hpp"
#include "nft/ruleset.hpp"

#include <fmt/format.h>
#include <netinet/in.h>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>

namespace ubf::nft::statement {

inline Compare equal(Bytes with) {
    return {NFT_CMP_EQ, std::move(with)};
}

inline constexpr std::uint32_t source_port_offset = 0;
inline constexpr std::uint32_t destination_port_offset = 2;

// In the network header.
inline std::uint32_t address_offset(bool v4, bool source) {
    if (v4)
        return source ? 12 : 16;
    return source ? 8 : 24;
}

// An end of the flow is the packet's source, or else its destination.
class PacketKey {
  public:
    explicit PacketKey(SetType type)
      : v4_(is_v4(type)) {
        const std::uint8_t number = v4_ ? NFPROTO_IPV4 : NFPROTO_IPV6;
        expressions_ = {LoadMeta{NFT_META_NFPROTO}, equal({number})};
    }

    PacketKey& interface() {
        expressions_.push_back(LoadMeta{NFT_META_IIF, next_});
        return add("meta iif", part::interface_index);
    }
    PacketKey& address(bool source) {
        const auto& part = part::address(v4_);
        expressions_.push_back(LoadPayload{NFT_PAYLOAD_NETWORK_HEADER, address_offset(v4_, source),
                                           part.length, next_});
        return add(fmt::format("{} {}", v4_ ? "ip" : "ip6", source ? "saddr" : "daddr"), part);
    }
    PacketKey& port(bool source) {
        const auto offset = source ? source_port_offset : destination_port_offset;
        expressions_.push_back(
            LoadPayload{NFT_PAYLOAD_TRANSPORT_HEADER, offset, part::port.length, next_});
        return add(source ? "th sport" : "th dport", part::port);
    }

    PacketKey& user() {
        expressions_.push_back(LoadMeta{NFT_META_SKUID, next_});
        return add("meta skuid", part::user);
    }

    // Ends the statement with `last`; the key replaces {} in `text`.
    Statement then(std::string_view text, Expression last) {
        expressions_.push_back(std::move(last));
        return {fmt::format(fmt::runtime(text), text_), std::move(expressions_)};
    }

  private:
    PacketKey& add(std::string_view text, const Part& part) {
        text_ += fmt::format("{}{}", text_.empty() ? "" : " . ", text);
        next_ += static_cast<std::uint32_t>(padded(part.length)) / 4;
        return *this;
    }

    bool v4_;
    std::uint32_t next_ = first_of_4_bytes;
    std::string text_;
    std::vector<Expression> expressions_;
};

} // namespace ubf::nft::statement
