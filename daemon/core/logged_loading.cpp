#include "daemon/core/logged_loading.hpp"

#include <fmt/format.h>
#include <optional>
#include <string>
#include <utility>

namespace ubf {
namespace {

constexpr auto names = Names::look_up_or_list;

} // namespace

Config LoggedLoading::load(const std::filesystem::path& file) {
    return load_config(file, names);
}

LoggedLoading::LoggedLoading(EventLoop& loop, std::filesystem::path file, const PlainLog& log,
                             Take take)
  : loading_(
        loop, std::move(file),
        [&log,
         take = std::move(take)](const Loading::Loaded& loaded) -> std::optional<std::string> {
            if (!loaded) {
                log.warning(fmt::format("not reloaded, all stays as it was: {}", loaded.error()));
                return loaded.error();
            }
            take(*loaded);
            log.info("reloaded");
            return std::nullopt;
        },
        names) {}

void LoggedLoading::begin() {
    loading_.begin([](const auto&) {});
}

} // namespace ubf
