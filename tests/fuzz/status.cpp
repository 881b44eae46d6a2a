// /proc/PID/status, of which the program's name is its own choice.
#include "fuzzer.hpp"
#include "owner/process_search.hpp"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static_cast<void>(ubf::parse_status(ubf::fuzz::text(data, size)));
    return 0;
}
