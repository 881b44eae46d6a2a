#include "config/key_file.hpp"

#include <algorithm>
#include <cstdlib>
#include <system_error>

namespace ubf {
namespace {

constexpr const char* credential = "ident.key";

bool names_key_file(const Config& config) {
    return std::ranges::any_of(config.source.settings, [](const Setting& setting) {
        return setting.section == "ident" && setting.key == "key_file";
    });
}

} // namespace

KeyFile key_file(const Config& config, const std::optional<std::filesystem::path>& credentials) {
    if (credentials && !names_key_file(config)) {
        std::error_code error;
        const auto file = *credentials / credential;
        if (std::filesystem::exists(file, error))
            return {file, true};
    }
    return {config.ident.key_file, false};
}

std::optional<std::filesystem::path> own_credentials() {
    const char* const folder = std::getenv("CREDENTIALS_DIRECTORY");
    if (folder == nullptr || *folder == '\0')
        return std::nullopt;
    return folder;
}

} // namespace ubf
