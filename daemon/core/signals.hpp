// Signals as a descriptor that a loop watches.
#pragma once

#include "base/unique_fd.hpp"

#include <functional>
#include <initializer_list>

namespace ubf {

// Blocks them: threads that start later, which inherit the mask, never see one. The descriptor,
// which doesn't block, has a signalfd_siginfo of each that came. Throws std::system_error.
UniqueFd open_signals(std::initializer_list<int> signals);
// Takes those that came. Calls for each SIGHUP; returns whether any other came.
bool take_signals(int signals, const std::function<void()>& hang_up);

} // namespace ubf
