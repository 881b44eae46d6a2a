#include "daemon/life.hpp"

#include <cstdint>
#include <systemd/sd-daemon.h>

namespace ubf {

Life::Life() {
    std::uint64_t period_us = 0;
    if (::sd_watchdog_enabled(0, &period_us) > 0)
        watchdog_ = std::chrono::microseconds(period_us);
}

void Life::show(TimePoint now, const std::function<std::string()>& summary) {
    constexpr std::chrono::seconds pause{5};
    if (threads_.all_vital_go_on() && watchdog_.count() > 0)
        ::sd_notify(0, "WATCHDOG=1");
    if (now - shown_ < pause)
        return;
    shown_ = now;
    ::sd_notify(0, ("STATUS=" + summary()).c_str());
}

} // namespace ubf
