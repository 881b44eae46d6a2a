#include "daemon/core/thread.hpp"

#include <cap-ng.h>
#include <cstdint>
#include <pthread.h>

namespace ubf {

void enter_thread(const char* name, std::initializer_list<unsigned> capabilities) {
    enter_thread(name, std::span(capabilities.begin(), capabilities.size()));
}

void enter_thread(const char* name, std::span<const unsigned> capabilities) {
    ::pthread_setname_np(::pthread_self(), name);
    constexpr auto both = static_cast<capng_type_t>(CAPNG_EFFECTIVE | CAPNG_PERMITTED);
    capng_get_caps_process();
    std::uint64_t kept = 0;
    for (const unsigned capability : capabilities)
        if (capng_have_capability(CAPNG_PERMITTED, capability) != 0)
            kept |= std::uint64_t{1} << capability;
    capng_clear(CAPNG_SELECT_CAPS);
    for (const unsigned capability : capabilities)
        if ((kept >> capability & 1) != 0)
            capng_update(CAPNG_ADD, both, capability);
    // The kernel drops ambient capabilities that are not permitted. Having fewer never fails.
    capng_apply(CAPNG_SELECT_CAPS);
}

void give_up(std::initializer_list<unsigned> capabilities) {
    constexpr auto all =
        static_cast<capng_type_t>(CAPNG_EFFECTIVE | CAPNG_PERMITTED | CAPNG_INHERITABLE);
    capng_get_caps_process();
    for (const unsigned capability : capabilities)
        capng_update(CAPNG_DROP, all, capability);
    capng_apply(CAPNG_SELECT_CAPS);
}

} // namespace ubf
