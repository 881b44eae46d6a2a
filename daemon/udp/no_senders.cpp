// In place of senders.cpp, where ubfd is built without BPF (UBF_BPF in bpf.cmake).
#include "daemon/udp/senders.hpp"

namespace ubf {

void UdpSenders::Unload::operator()(udp_senders_bpf*) const {}

void UdpSenders::Free::operator()(ring_buffer*) const {}

// NOLINTNEXTLINE(performance-unnecessary-value-param): senders.cpp keeps them
UdpSenders::UdpSenders(const Config&, const Scope&, int, Links, const Keep&)
  : why_not_("ubfd was built without BPF") {}

void UdpSenders::set(const Config&, const Scope&) {}

int UdpSenders::fd() const {
    return -1;
}

void UdpSenders::take(const Told&) {}

std::string UdpSenders::state() const {
    return "not in use: " + why_not_;
}

std::uint64_t UdpSenders::refused() const {
    return 0;
}

} // namespace ubf
