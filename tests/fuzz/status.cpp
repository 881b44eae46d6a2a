// /proc/PID/status; a program chooses its own name in it.
#include "fuzzer.hpp"
#include "owner/process_search.hpp"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static_cast<void>(ubf::parse_status(ubf::fuzz::text(data, size)));
    return 0;
}
