// In place of receivers.cpp, where ubfd is built without BPF (UBF_BPF in bpf.cmake).
#include "daemon/udp/receivers.hpp"

namespace ubf {

void UdpReceivers::Unload::operator()(udp_receivers_bpf*) const {}

void UdpReceivers::Unmap::operator()(std::uint64_t*) const {}

// NOLINTNEXTLINE(performance-unnecessary-value-param): receivers.cpp keeps it
UdpReceivers::UdpReceivers(bool, int, UniqueFd, Keep)
  : cgroup_(-1)
  , why_not_("ubfd was built without BPF") {}

bool UdpReceivers::bind(const Flow&, Uid) {
    return true;
}

void UdpReceivers::release(const Flow&, Uid) {}

void UdpReceivers::look(TimePoint) {}

std::string UdpReceivers::state() const {
    return "not in use: " + why_not_;
}

} // namespace ubf
