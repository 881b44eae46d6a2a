// Signals as a descriptor that a loop watches.
#pragma once

#include "base/unique_fd.hpp"

#include <initializer_list>

namespace ubf {

// Blocks them: threads that start later, which inherit the mask, never see one. The descriptor,
// which doesn't block, has a signalfd_siginfo of each that came. Throws std::system_error.
UniqueFd open_signals(std::initializer_list<int> signals);

} // namespace ubf
