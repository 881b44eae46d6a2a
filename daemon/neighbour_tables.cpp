#include "daemon/neighbour_tables.hpp"

#include <fstream>
#include <iterator>
#include <sstream>
#include <string>

namespace ubf {

std::uint64_t times_full(std::string_view text) {
    std::istringstream lines{std::string(text)};
    std::string line, name;
    std::getline(lines, line);
    std::istringstream names(line);
    std::size_t column = 0;
    while (names >> name && name != "table_fulls")
        ++column;
    if (name != "table_fulls")
        return 0;
    std::uint64_t sum = 0;
    while (std::getline(lines, line)) {
        std::istringstream numbers(line);
        numbers >> std::hex;
        std::uint64_t number = 0;
        for (std::size_t i = 0; i <= column && numbers >> number; ++i)
            sum += i == column ? number : 0;
    }
    return sum;
}

std::uint64_t neighbour_tables_full() {
    std::uint64_t sum = 0;
    for (const auto* file : {"/proc/net/stat/arp_cache", "/proc/net/stat/ndisc_cache"}) {
        std::ifstream in(file);
        sum += times_full(std::string(std::istreambuf_iterator<char>(in), {}));
    }
    return sum;
}

} // namespace ubf
