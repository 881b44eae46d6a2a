#include "arguments.hpp"

#include "base/text.hpp"

#include <cstdint>
#include <fmt/format.h>

namespace ubf::ctl {

namespace po = boost::program_options;

po::variables_map parse(std::string_view command, const Arguments& arguments,
                        const po::options_description& options,
                        const po::positional_options_description& positions) {
    constexpr const char* help = "'ubfctl --help' shows how it is called";
    try {
        po::variables_map given;
        po::store(po::command_line_parser(arguments)
                      .options(options)
                      .positional(positions)
                      .style(option_style)
                      .run(),
                  given);
        po::notify(given);
        return given;
    } catch (const po::too_many_positional_options_error&) {
        throw UsageError(fmt::format("{}: more words than it takes; {}", command, help));
    } catch (const po::error& error) {
        throw UsageError(fmt::format("{}: {}; {}", command, error.what(), help));
    }
}

void add_watch(po::options_description& options) {
    options.add_options()("watch", po::value<std::string>()->implicit_value("2"));
}

std::optional<std::chrono::seconds> watch_of(std::string_view command,
                                             const po::variables_map& given) {
    if (!given.contains("watch"))
        return std::nullopt;
    const auto& text = given["watch"].as<std::string>();
    const auto seconds = number<std::uint16_t>(text);
    if (!seconds || *seconds == 0)
        throw UsageError(fmt::format("{}: --watch '{}' is no pause; write whole seconds, like "
                                     "--watch=5",
                                     command, text));
    return std::chrono::seconds(*seconds);
}

std::filesystem::path file_argument(std::string_view command, const Arguments& arguments,
                                    const char* otherwise) {
    po::options_description options;
    options.add_options()("file", po::value<std::string>()->default_value(otherwise));
    po::positional_options_description positions;
    positions.add("file", 1);
    return parse(command, arguments, options, positions)["file"].as<std::string>();
}

} // namespace ubf::ctl
