// In place of owner_records.cpp, where ubfd is built without BPF (UBF_BPF in bpf.cmake).
#include "daemon/owners/owner_records.hpp"

namespace ubf {

void OwnerRecords::Unload::operator()(owner_records_bpf*) const {}

void OwnerRecords::Unmap::operator()(const std::uint64_t*) const {}

OwnerRecords::OwnerRecords(bool, std::optional<CgroupRoots>)
  : state_("not in use: ubfd was built without BPF") {}

bool OwnerRecords::may_share(Port) const {
    return true;
}

bool OwnerRecords::has_cgroups(const ubf_owner_record&) const {
    return false;
}

std::optional<ubf_owner_record> OwnerRecords::find(Cookie, ident::Role) const {
    return std::nullopt;
}

std::optional<std::vector<Pid>> OwnerRecords::holders(std::span<const Cookie>, TimePoint) const {
    return std::nullopt;
}

} // namespace ubf
