#include "version.hpp"

#include <fmt/format.h>

namespace ubf {

std::string_view release() {
    return UBF_RELEASE;
}

std::string version_of(std::string_view program) {
    constexpr std::string_view commit = UBF_COMMIT;
    return fmt::format("{} {}{}{}", program, release(), commit.empty() ? "" : ", commit ", commit);
}

} // namespace ubf
