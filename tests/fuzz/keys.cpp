// The key file.
#include "fuzzer.hpp"
#include "ident/key.hpp"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    try {
        static_cast<void>(ubf::parse_keys(ubf::fuzz::text(data, size), "f"));
    } catch (const ubf::KeyError&) {
    }
    return 0;
}
