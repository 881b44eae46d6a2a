#include "daemon/udp/receivers.hpp"

#include "daemon/core/bpf_programs.hpp"
#include "daemon/udp/bpf/udp_receivers.h"
#include "udp_receivers.skel.h"

#include <algorithm>
#include <arpa/inet.h>
#include <atomic>
#include <bpf/bpf.h>
#include <cerrno>
#include <fmt/format.h>
#include <span>
#include <sys/mman.h>
#include <utility>

namespace ubf {
namespace {

constexpr std::size_t ports_size = UBF_RECEIVER_PORTS * sizeof(std::uint64_t);

ubf_udp_flow key_of(const Flow& flow) {
    ubf_udp_flow key{};
    std::ranges::copy(flow.source.address.bytes(), key.source);
    std::ranges::copy(flow.destination.address.bytes(), key.destination);
    key.source_port = htons(flow.source.port);
    key.destination_port = htons(flow.destination.port);
    return key;
}

} // namespace

void UdpReceivers::Unload::operator()(udp_receivers_bpf* program) const {
    ::udp_receivers_bpf__destroy(program);
}

void UdpReceivers::Unmap::operator()(std::uint64_t* users) const {
    ::munmap(users, ports_size);
}

UdpReceivers::UdpReceivers(bool wanted, int cgroup, UniqueFd kept, Keep keep)
  : cgroup_(cgroup)
  , keep_(std::move(keep))
  , link_(std::move(kept))
  , why_not_(wanted ? load() : "owners.bpf is false") {
    if (!why_not_.empty())
        program_.reset();
}

std::string UdpReceivers::load() {
    if (cgroup_ < 0)
        return needs_cgroups;
    ::libbpf_set_print(nullptr); // state() says it
    program_.reset(::udp_receivers_bpf__open());
    if (!program_)
        return network_failure_of("opening the BPF programs", errno);
    program_->rodata->net_namespace = own_network_namespace();
    if (const int error = ::udp_receivers_bpf__load(program_.get()); error != 0)
        return network_failure_of("loading the BPF programs", -error);
    if (!can_be_used_without_privileges(::bpf_map__fd(program_->maps.flows)))
        return needs_privileges;
    auto* mapped = ::mmap(nullptr, ports_size, PROT_READ | PROT_WRITE, MAP_SHARED,
                          ::bpf_map__fd(program_->maps.ports), 0);
    if (mapped == MAP_FAILED)
        return network_failure_of("mapping a BPF map", errno);
    ports_.reset(static_cast<std::uint64_t*>(mapped));
    std::ranges::fill(std::span(ports_.get(), UBF_RECEIVER_PORTS), UBF_RECEIVER_NOBODY);

    program_->links.on_socket = ::bpf_program__attach_cgroup(program_->progs.on_socket, cgroup_);
    return program_->links.on_socket ? std::string()
                                     : network_failure_of("attaching the BPF programs", errno);
}

// A predecessor's program stays attached until ours replaces it.
bool UdpReceivers::attach() {
    if (is_ours_)
        return true;
    link_ =
        ubf::attach(std::move(link_), program_->progs.on_packet, cgroup_, BPF_CGROUP_INET_INGRESS);
    is_ours_ = static_cast<bool>(link_);
    failed_ = !is_ours_;
    if (is_ours_)
        keep_(link_.get());
    return is_ours_;
}

void UdpReceivers::look(TimePoint now) {
    if (!users_.empty() || used_ == TimePoint{})
        used_ = now;
    if (!link_ || now - used_ < a_while)
        return;
    link_.reset();
    is_ours_ = false;
    keep_(-1);
}

std::string UdpReceivers::state() const {
    if (!why_not_.empty())
        return fmt::format("not in use: {}", why_not_);
    if (observes_)
        return "not in use: the site only observes (policy.mode)";
    return failed_ ? "not in use: the BPF program could not be attached (bpftool cgroup tree)"
                   : "in use";
}

// If the program can't be attached, the flow is allowed as without it.
bool UdpReceivers::bind(const Flow& flow, Uid user) {
    if (!program_ || observes_ || !attach())
        return true;
    const auto key = key_of(flow);
    const auto whose = value(user);
    if (::bpf_map_update_elem(::bpf_map__fd(program_->maps.flows), &key, &whose, BPF_ANY) != 0)
        return false;
    ++users_[flow.destination.port][user];
    tell(flow.destination.port);
    return true;
}

void UdpReceivers::release(const Flow& flow, Uid user) {
    if (!program_)
        return;
    const auto key = key_of(flow);
    if (::bpf_map_delete_elem(::bpf_map__fd(program_->maps.flows), &key) != 0)
        return; // the flow began while the program could not be attached
    const auto port = users_.find(flow.destination.port);
    if (port == users_.end())
        return;
    if (const auto count = port->second.find(user);
        count != port->second.end() && --count->second == 0)
        port->second.erase(count);
    if (port->second.empty())
        users_.erase(port);
    tell(flow.destination.port);
}

void UdpReceivers::tell(Port port) {
    const auto found = users_.find(port);
    const std::uint64_t whose = found == users_.end()       ? UBF_RECEIVER_NOBODY
                                : found->second.size() == 1 ? value(found->second.begin()->first)
                                                            : UBF_RECEIVER_SEVERAL;
    std::atomic_ref(ports_.get()[port]).store(whose, std::memory_order_release);
}

} // namespace ubf
