// What the linker puts in place of system calls, and of clocks and dice (CMakeLists.txt), so that
// the daemon has no seams for this; and what it calls otherwise.
#pragma once

#include <sys/epoll.h>

extern "C" int __real_epoll_wait(int epoll, epoll_event* events, int most, int timeout);
