// Reads the file and its drop-ins.
#include "base/read_all.hpp"
#include "config/options.hpp"
#include "config/read.hpp"
#include "config/value.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fmt/format.h>
#include <sstream>
#include <system_error>
#include <utility>

namespace ubf {

using config::fail_at;

namespace {

toml::table parse(std::string_view text, const std::string& name) {
    try {
        return toml::parse(text, name);
    } catch (const toml::parse_error& error) {
        fail_at(name, error.source(),
                fmt::format("{}; see toml.io for the syntax", error.description()));
    }
}

std::string read_text(const std::filesystem::path& file) {
    constexpr std::size_t most = std::size_t{16} << 20; // a million uids
    auto text = read_all(file, most);
    if (!text && errno == EFBIG)
        throw ConfigError(fmt::format("{}: more than {} MiB, which is no configuration; write "
                                      "ranges of uids, or a group, in place of long lists",
                                      file.string(), most >> 20));
    if (!text)
        throw ConfigError(fmt::format("{}: can't be read: {}; name the configuration with --config",
                                      file.string(), std::strerror(errno)));
    return std::move(*text);
}

// The drop-ins of a file, in the order of their names.
std::vector<std::filesystem::path> drop_ins_of(const std::filesystem::path& file) {
    auto folder = file;
    folder += ".d";
    std::vector<std::filesystem::path> found;
    std::error_code error;
    for (std::filesystem::directory_iterator at(folder, error), end; !error && at != end;
         at.increment(error))
        if (at->path().extension() == ".toml")
            found.push_back(at->path());
    if (error && error != std::errc::no_such_file_or_directory)
        throw ConfigError(fmt::format("{}: can't be read: {}", folder.string(), error.message()));
    std::ranges::sort(found);
    return found;
}

// Each key of `over` takes the place of the same key. Nodes are moved, or they would forget where
// they stand.
void put_over(toml::table& root, toml::table&& over) {
    for (auto&& [key, node] : over) {
        auto* const before = root.get(key.str());
        if (before != nullptr && before->is_table() && node.is_table())
            put_over(*before->as_table(), std::move(*node.as_table()));
        else
            node.visit([&root, &key = key](auto& concrete) {
                root.insert_or_assign(key, std::move(concrete));
            });
    }
}

std::string to_text(const toml::table& root) {
    std::ostringstream text;
    text << root << '\n';
    return text.str();
}

// In the order of the options.
std::vector<Setting> settings_of(const toml::table& root, const std::string& file) {
    std::vector<Setting> settings;
    for (const auto& option : config::options()) {
        const auto* section = root.get_as<toml::table>(option.section);
        const auto* node = section == nullptr ? nullptr : section->get(option.key);
        if (node == nullptr)
            continue;
        std::ostringstream value;
        node->visit([&](const auto& concrete) { value << concrete; });
        const auto& where = node->source();
        settings.push_back(
            {option.section, option.key, value.str(),
             fmt::format("{}:{}", where.path ? *where.path : file, where.begin.line)});
    }
    return settings;
}

} // namespace

Config parse_config(std::string_view text, const std::string& name, Names names,
                    const SlurmTexts& texts) {
    const auto root = parse(text, name);
    auto config = config::read(root, name, names, texts);
    config.source.settings = settings_of(root, name);
    config.source.text = text;
    return config;
}

Config load_config(const std::filesystem::path& file, Names names) {
    const auto text = read_text(file);
    const auto drop_ins = drop_ins_of(file);
    if (drop_ins.empty())
        return parse_config(text, file.string(), names);
    auto root = parse(text, file.string());
    for (const auto& drop_in : drop_ins)
        put_over(root, parse(read_text(drop_in), drop_in.string()));
    auto config = config::read(root, file.string(), names);
    config.source.settings = settings_of(root, file.string());
    config.source.text = to_text(root);
    return config;
}

std::vector<Setting> all_settings(const Config& config) {
    std::vector<Setting> settings;
    for (const auto& option : config::options()) {
        const auto given =
            std::ranges::find_if(config.source.settings, [&](const Setting& setting) {
                return setting.section == option.section && setting.key == option.key;
            });
        settings.push_back(
            given != config.source.settings.end()
                ? *given
                : Setting{option.section, option.key, std::string(option.default_value), {}});
    }
    return settings;
}

} // namespace ubf
