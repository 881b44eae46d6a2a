#include "nft/statement.hpp"

#include <fmt/format.h>
#include <netinet/in.h>

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>

namespace ubf::nft::statement {
namespace {

Statement verdict(std::string text, std::int32_t code, std::string chain = {}) {
    return {std::move(text), {Immediate{code, std::move(chain)}}};
}

Statement reject(std::string text, std::uint32_t type, std::uint8_t code) {
    return {std::move(text), {Reject{type, code}}};
}

} // namespace

Statement notrack() {
    return {"notrack", {Notrack{}}};
}

Statement count() {
    return {"counter", {Count{}}};
}

Statement accept() {
    return verdict("accept", NF_ACCEPT);
}

Statement drop() {
    return verdict("drop", NF_DROP);
}

Statement leave() {
    return verdict("return", NFT_RETURN);
}

Statement jump(const std::string& chain) {
    return verdict(fmt::format("jump {}", chain), NFT_JUMP, chain);
}

Statement go_to(const std::string& chain) {
    return verdict(fmt::format("goto {}", chain), NFT_GOTO, chain);
}

Statement reject_prohibited() {
    return reject("reject with icmpx admin-prohibited", NFT_REJECT_ICMPX_UNREACH,
                  NFT_REJECT_ICMPX_ADMIN_PROHIBITED);
}

Statement reject_address_unreachable() {
    return reject("reject with icmpx host-unreachable", NFT_REJECT_ICMPX_UNREACH,
                  NFT_REJECT_ICMPX_HOST_UNREACH);
}

Statement reject_port_unreachable() {
    return reject("reject with icmpx port-unreachable", NFT_REJECT_ICMPX_UNREACH,
                  NFT_REJECT_ICMPX_PORT_UNREACH);
}

Statement reject_reset() {
    return reject("reject with tcp reset", NFT_REJECT_TCP_RST, 0);
}

// The text is always nft's own; xt NFQUEUE has no text that nft could read back.
Statement queue(std::uint16_t first, std::uint16_t count, QueueExpression expression) {
    return {count > 1 ? "queue flags bypass,fanout to $queues" : "queue flags bypass to $queues",
            {ToQueue{first, count, expression == QueueExpression::native}}};
}

} // namespace ubf::nft::statement
