#include "counting.hpp"

#include <atomic>
#include <valgrind/callgrind.h>

namespace ubf::budget {
namespace {

std::atomic<bool> wanted{false};
std::atomic<std::uint64_t> calls{0};
std::atomic<std::uint64_t> clock_reads{0};
// callgrind only toggles whether a thread is counted, so each thread remembers its own state.
thread_local bool counted = false;
thread_local unsigned depth = 0;

void count_this_thread(bool on) {
    if (counted == on)
        return;
    counted = on;
    CALLGRIND_TOGGLE_COLLECT;
}

} // namespace

void begin_counting() {
    wanted = true;
}

void end_counting() {
    wanted = false;
}

Counts counts() {
    return {calls, clock_reads};
}

Aside::Aside() {
    if (depth++ > 0)
        return;
    count_this_thread(false);
    if (wanted)
        ++calls;
}

Aside::~Aside() {
    if (--depth == 0)
        count_this_thread(wanted);
}

void count_clock_read() {
    if (wanted)
        ++clock_reads;
}

} // namespace ubf::budget
