#include "base/interfaces.hpp"

#include <net/if.h>

namespace ubf {

std::vector<std::string> interface_names() {
    std::vector<std::string> names;
    auto* const all = ::if_nameindex();
    for (const auto* one = all; one != nullptr && one->if_name != nullptr; ++one)
        names.emplace_back(one->if_name);
    ::if_freenameindex(all);
    return names;
}

} // namespace ubf
