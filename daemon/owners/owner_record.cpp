#include "daemon/owners/owner_record.hpp"

#include <algorithm>
#include <iterator>

namespace ubf {

std::optional<Holder> maker_of(const ubf_owner_record& record, Uid socket) {
    if (Uid{record.euid} != socket || record.group_count > std::size(record.groups))
        return std::nullopt;
    Holder process{Pid{record.pid}, {}};
    auto& status = process.status;
    status.comm.assign(std::begin(record.comm), std::ranges::find(record.comm, '\0'));
    status.uid = Uid{record.euid};
    status.gid = Gid{record.egid};
    status.real_uid = Uid{record.uid};
    status.real_gid = Gid{record.gid};
    if (!status.is_itself())
        return std::nullopt;
    for (std::uint32_t i = 0; i < record.group_count; ++i)
        status.groups.push_back(Gid{record.groups[i]});
    return process;
}

} // namespace ubf
