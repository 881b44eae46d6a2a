// The time by which certificates and grants are valid.
#pragma once

#include "identity/certificate.hpp"

#include <chrono>

namespace ubf::identity {

inline Seconds seconds_now() {
    return std::chrono::duration_cast<Seconds>(std::chrono::system_clock::now().time_since_epoch());
}

} // namespace ubf::identity
