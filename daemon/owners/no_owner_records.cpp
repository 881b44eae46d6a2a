// In place of owner_records.cpp, where ubfd is built without BPF (UBF_BPF in CMakeLists.txt).
#include "daemon/owners/owner_records.hpp"

namespace ubf {

void OwnerRecords::Unload::operator()(owner_records_bpf*) const {}

OwnerRecords::OwnerRecords(bool)
  : state_("not in use: ubfd was built without BPF") {}

std::optional<ubf_owner_record> OwnerRecords::find(Cookie, ident::Role) const {
    return std::nullopt;
}

} // namespace ubf
