// What is counted: instructions of the daemon itself, while it is asked for. callgrind counts them,
// and is told here when.
#pragma once

#include <cstdint>

namespace ubf::budget {

// Of all threads that make system calls meanwhile.
void begin_counting();
void end_counting();

struct Counts {
    std::uint64_t calls = 0;       // to the system
    std::uint64_t clock_reads = 0; // which are none, but are not free
};
Counts counts();

// While one is there, its thread is on the other side of a system call.
class Aside {
  public:
    Aside();
    ~Aside();
    Aside(const Aside&) = delete;
    Aside& operator=(const Aside&) = delete;
};

void count_clock_read();

} // namespace ubf::budget
