// Reads the owner of a socket from a record of the kernel's.
#pragma once

#include "base/types.hpp"
#include "daemon/owners/bpf/owner_record.h"
#include "owner/process_search.hpp"

#include <optional>

namespace ubf {

// The process that was recorded, as if a search had found it holding the socket of that uid.
// Nothing if the record may mislead, and a search must find out: the socket is another user's, or
// the process had more groups than were kept. So may a process that worked under another user or
// group than its own (set-user-ID, set-group-ID).
std::optional<Holder> maker_of(const ubf_owner_record& record, Uid socket);

} // namespace ubf
