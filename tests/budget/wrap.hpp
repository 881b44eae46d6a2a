// The linker puts these in place of system calls, clocks and random numbers (CMakeLists.txt), so
// that the daemon needs no test hooks.
#pragma once

#include <sys/epoll.h>

extern "C" int __real_epoll_wait(int epoll, epoll_event* events, int most, int timeout);
