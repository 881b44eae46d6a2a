#include "daemon/udp/senders.hpp"

#include "daemon/core/bpf_programs.hpp"
#include "daemon/udp/bpf/udp_senders.h"
#include "udp_senders.skel.h"

#include <algorithm>
#include <arpa/inet.h>
#include <atomic>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <cerrno>
#include <fmt/format.h>
#include <utility>

namespace ubf {
namespace {

ubf_peers key_of(unsigned length, const Address& first) {
    ubf_peers key{};
    key.length = length;
    std::ranges::copy(first.bytes(), key.address);
    return key;
}

void add(std::array<std::uint8_t, UBF_SENDERS_PORTS>& judged, const Scope::Side& side,
         std::uint8_t where) {
    for (const auto& range : side.ports)
        for (std::size_t port = range.first; port <= range.last; ++port)
            judged.at(port) |= where;
    for (const auto& exempt : side.exempt_ports)
        if (exempt.udp)
            for (std::size_t port = exempt.ports.first; port <= exempt.ports.last; ++port)
                judged.at(port) &= static_cast<std::uint8_t>(~where);
}

} // namespace

void UdpSenders::Unload::operator()(udp_senders_bpf* programs) const {
    ::udp_senders_bpf__destroy(programs);
}

void UdpSenders::Free::operator()(ring_buffer* reports) const {
    ::ring_buffer__free(reports);
}

UdpSenders::UdpSenders(const Config& config, const Scope& scope, int cgroup, Links kept,
                       const Keep& keep)
  : why_not_(config.owners.bpf ? load(config, scope, cgroup) : "owners.bpf is false") {
    if (why_not_.empty())
        why_not_ = attach(cgroup, std::move(kept), keep);
    if (why_not_.empty())
        return;
    for (std::size_t family = 0; family < families; ++family) {
        links_.at(family).reset();
        keep(family, -1);
    }
    reports_.reset();
    programs_.reset();
}

std::string UdpSenders::load(const Config& config, const Scope& scope, int cgroup) {
    if (cgroup < 0)
        return needs_cgroups;
    ::libbpf_set_print(nullptr); // state() says it
    programs_.reset(::udp_senders_bpf__open());
    if (!programs_)
        return network_failure_of("opening the BPF programs", errno);
    programs_->rodata->net_namespace = own_network_namespace();
    if (const int error = ::udp_senders_bpf__load(programs_.get()); error != 0)
        return network_failure_of("loading the BPF programs", -error);
    if (!can_be_used_without_privileges(::bpf_map__fd(programs_->maps.peers)))
        return needs_privileges;
    set(config, scope);
    const auto take = [](void* self, void* data, std::size_t size) {
        if (size < sizeof(ubf_refused_datagram))
            return 0;
        const auto& report = *static_cast<const ubf_refused_datagram*>(data);
        const auto at = [](const auto& bytes, std::uint16_t port) {
            return Endpoint{Address::v6(bytes), ntohs(port)};
        };
        (*static_cast<UdpSenders*>(self)->told_)({Protocol::udp,
                                                  at(report.source, report.source_port),
                                                  at(report.destination, report.destination_port)},
                                                 Uid{report.user});
        return 0;
    };
    reports_.reset(::ring_buffer__new(::bpf_map__fd(programs_->maps.reports), take, this, nullptr));
    return reports_ ? std::string() : network_failure_of("mapping a BPF map", errno);
}

std::string UdpSenders::attach(int cgroup, Links kept, const Keep& keep) {
    constexpr std::array types{BPF_CGROUP_UDP4_SENDMSG, BPF_CGROUP_UDP6_SENDMSG};
    const std::array programs{programs_->progs.on_v4, programs_->progs.on_v6};
    for (std::size_t family = 0; family < families; ++family) {
        links_.at(family) =
            ubf::attach(std::move(kept.at(family)), programs.at(family), cgroup, types.at(family));
        if (!links_.at(family))
            return network_failure_of("attaching the BPF programs", errno);
        keep(family, links_.at(family).get());
    }
    return {};
}

void UdpSenders::set(const Config& config, const Scope& scope) {
    if (!programs_)
        return;
    constexpr std::uint8_t everywhere = UBF_SENDERS_ETHERNET | UBF_SENDERS_FABRIC;
    Peers peers;
    const auto add_peer = [&](const Prefix& prefix, std::uint8_t where) {
        if (prefix.is_v4())
            where |= UBF_SENDERS_V4;
        peers[{prefix.mapped_length(), prefix.first()}] |= where;
    };
    for (const auto* loopback : {"127.0.0.0/8", "::1/128"})
        add_peer(*Prefix::parse(loopback), everywhere);
    for (const auto& prefix : config.peers.ranges)
        add_peer(prefix, UBF_SENDERS_ETHERNET);
    if (scope.fabric)
        for (const auto& prefix : config.fabric_peers())
            add_peer(prefix, UBF_SENDERS_FABRIC);
    set_peers(std::move(peers));

    std::array<std::uint8_t, UBF_SENDERS_PORTS> judged{};
    add(judged, scope.ethernet, UBF_SENDERS_ETHERNET);
    if (scope.fabric)
        add(judged, *scope.fabric, UBF_SENDERS_FABRIC);
    std::ranges::copy(judged, programs_->bss->judged_ports);
    std::atomic_ref(programs_->bss->observes)
        .store(config.observed.all ? 1 : 0, std::memory_order_release);
}

// The most of prefixes that the kernel takes is what peers may be; others are not judged there.
void UdpSenders::set_peers(Peers fresh) {
    const int map = ::bpf_map__fd(programs_->maps.peers);
    for (const auto& [peer, where] : fresh) {
        const auto key = key_of(peer.length, peer.first);
        ::bpf_map_update_elem(map, &key, &where, BPF_ANY);
    }
    for (const auto& [peer, where] : peers_)
        if (!fresh.contains(peer)) {
            const auto key = key_of(peer.length, peer.first);
            ::bpf_map_delete_elem(map, &key);
        }
    peers_ = std::move(fresh);
}

int UdpSenders::fd() const {
    return reports_ ? ::ring_buffer__epoll_fd(reports_.get()) : -1;
}

void UdpSenders::take(const Told& told) {
    if (!reports_)
        return;
    told_ = &told;
    ::ring_buffer__consume(reports_.get());
    told_ = nullptr;
}

std::string UdpSenders::state() const {
    if (!why_not_.empty())
        return fmt::format("not in use: {}", why_not_);
    return std::atomic_ref(programs_->bss->observes).load(std::memory_order_relaxed) != 0
               ? "not in use: the site only observes (policy.mode)"
               : "in use";
}

std::uint64_t UdpSenders::refused() const {
    return programs_ ? std::atomic_ref(programs_->bss->refused).load(std::memory_order_relaxed) : 0;
}

} // namespace ubf
