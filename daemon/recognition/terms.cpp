#include "daemon/recognition/terms.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <span>

namespace ubf {
namespace {

// SipHash takes its key as two numbers, the lowest byte first.
ubf_recognition_key key_of(const Key& key) {
    const auto bytes = key.derive("ubfstamp");
    ubf_recognition_key result{{}, key.id(), 1};
    for (std::size_t i = 0; i < bytes.size(); ++i)
        result.words[i / 8] |= std::uint64_t{bytes[i]} << i % 8 * 8;
    return result;
}

void add(std::vector<RecognitionTerms::Peers>& peers, ubf_recognition_side side,
         const std::vector<Prefix>& ranges, ubf_recognition_proof proof) {
    for (const auto& range : ranges)
        peers.push_back({side, range, proof});
}

// A node's addresses for itself. The kernel drops packets from them that come in from outside.
std::vector<Prefix> loopback() {
    return {*Prefix::parse("127.0.0.0/8"), *Prefix::parse("::1/128")};
}

void add_side(RecognitionTerms& terms, ubf_recognition_side side, const std::vector<Prefix>& ranges,
              const Policy& policy, ubf_recognition_proof proof) {
    terms.agreed.recognises[side] = policy.same_user && !policy.require_label;
    add(terms.peers, side, without(ranges, policy.unready), proof);
}

} // namespace

RecognitionTerms recognition_terms(const Config& config, const KeyRing& keys) {
    RecognitionTerms terms;
    auto& agreed = terms.agreed;
    if (!config.owners.recognise) {
        terms.why_not = "owners.recognise is false";
        return terms;
    }
    const auto fabric_policy = config.fabric_policy();
    std::vector<Exemption> exempt;
    for (const auto* list : {&fabric_policy.exempt_listeners, &fabric_policy.exempt_connectors})
        exempt.insert(exempt.end(), list->begin(), list->end()); // those of [policy] are among them
    for (const Uid portal : config.portal.users) // each connection is somebody else's
        exempt.push_back({{portal, portal}});
    if (exempt.size() > UBF_RECOGNITION_EXEMPT) {
        terms.why_not = fmt::format("more than {} entries name exempt users; give them one range",
                                    UBF_RECOGNITION_EXEMPT);
        return terms;
    }
    for (const auto& exemption : exempt)
        agreed.exempt[agreed.exempt_count++] = {value(exemption.users.first),
                                                value(exemption.users.last)};
    // The cluster key proves no node where certificates do.
    const bool by_pair = config.ident.require_certificates;
    if (!by_pair)
        agreed.keys[0] = key_of(keys.current);
    if (!by_pair && keys.previous)
        agreed.keys[1] = key_of(*keys.previous);
    agreed.clock_skew = static_cast<std::uint32_t>(
        std::chrono::ceil<std::chrono::seconds>(config.ident.clock_skew).count());
    const auto proof = by_pair ? UBF_PROOF_PAIR : UBF_PROOF_CLUSTER;
    add(terms.peers, UBF_SIDE_ETHERNET, loopback(), UBF_PROOF_CLUSTER);
    add_side(terms, UBF_SIDE_ETHERNET, config.peers.ranges, config.policy, proof);
    if (config.fabric.enabled)
        add_side(terms, UBF_SIDE_FABRIC, config.fabric_peers(), fabric_policy, proof);
    if (terms.peers.size() > UBF_RECOGNITION_PEERS)
        terms.why_not = fmt::format("the peers' ranges are more than {}", UBF_RECOGNITION_PEERS);
    else if (!std::ranges::any_of(agreed.recognises, [](auto side) { return side != 0; }))
        terms.why_not = "the policy does not let users in for being the same, or asks for labels";
    if (!terms.why_not.empty())
        std::ranges::fill(agreed.recognises, 0);
    return terms;
}

bool is_recognised(const RecognitionTerms& terms, Uid uid) {
    const auto& agreed = terms.agreed;
    const std::span exempt(agreed.exempt, agreed.exempt_count);
    return terms.why_not.empty() && value(uid) != 0 &&
           std::ranges::none_of(exempt, [&](const auto& uids) {
               return value(uid) >= uids.first && value(uid) <= uids.last;
           });
}

bool is_recognised(const RecognitionTerms& terms, ubf_recognition_side side, const Address& source,
                   Uid uid) {
    return terms.agreed.recognises[side] != 0 && is_recognised(terms, uid) &&
           std::ranges::any_of(terms.peers, [&](const auto& peers) {
               return peers.side == side && peers.range.contains(source);
           });
}

} // namespace ubf
