// Counts instructions of the daemon itself, on request. callgrind counts them, and this tells it
// when.
#pragma once

#include <cstdint>

namespace ubf::budget {

// Counts on all threads that make system calls meanwhile.
void begin_counting();
void end_counting();

struct Counts {
    std::uint64_t calls = 0;       // system calls
    std::uint64_t clock_reads = 0; // no system calls, but not free
};
Counts counts();

// While an Aside exists, its thread is on the kernel's side of a system call.
class Aside {
  public:
    Aside();
    ~Aside();
    Aside(const Aside&) = delete;
    Aside& operator=(const Aside&) = delete;
};

void count_clock_read();

} // namespace ubf::budget
