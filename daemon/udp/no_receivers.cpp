// In place of receivers.cpp, where ubfd is built without BPF (UBF_BPF in bpf.cmake).
#include "daemon/udp/receivers.hpp"

namespace ubf {

void UdpReceivers::Unload::operator()(udp_receivers_bpf*) const {}

void UdpReceivers::Unmap::operator()(std::uint64_t*) const {}

UdpReceivers::UdpReceivers(bool, int)
  : state_("not in use: ubfd was built without BPF") {}

bool UdpReceivers::bind(const Flow&, Uid) {
    return true;
}

void UdpReceivers::release(const Flow&, Uid) {}

} // namespace ubf
