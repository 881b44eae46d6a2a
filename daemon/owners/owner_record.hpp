// What a record of the kernel's says of a socket's owner.
#pragma once

#include "base/types.hpp"
#include "daemon/owners/bpf/owner_record.h"
#include "owner/process_search.hpp"

#include <optional>

namespace ubf {

// The process that was recorded, as if a search had found it holding the socket of that uid.
// Nothing where that may mislead, so that a search says: when the socket is another user's, when
// the process worked under another user or group than its own (set-user-ID, set-group-ID), and when
// it had more groups than were kept.
std::optional<Holder> maker_of(const ubf_owner_record& record, Uid socket);

} // namespace ubf
