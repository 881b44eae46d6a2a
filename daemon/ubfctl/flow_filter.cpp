#include "flow_filter.hpp"

#include "names.hpp"
#include "policy/verdict.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace ubf::ctl {
namespace {

namespace po = boost::program_options;

std::string checked_reason(const std::string& name) {
    const auto reason = parse_reason(name);
    if (!reason || action_of(*reason) != Action::allow)
        throw UsageError(fmt::format("no flow is allowed for the reason '{}'; there are {}", name,
                                     fmt::join(reasons_of(Action::allow), ", ")));
    return name;
}

} // namespace

po::options_description filter_options() {
    po::options_description options;
    options.add_options()                  //
        ("user", po::value<std::string>()) //
        ("reason", po::value<std::string>());
    return options;
}

Json request_of(const char* command, const po::variables_map& given) {
    Json request{{"command", command}};
    if (given.contains("user"))
        request["user"] = uid_of(given["user"].as<std::string>());
    if (given.contains("reason"))
        request["reason"] = checked_reason(given["reason"].as<std::string>());
    return request;
}

std::string note_of_missing(const Json& reply) {
    const auto missing = reply.at("queues_missing").get<std::uint64_t>();
    return missing == 0 ? std::string()
                        : fmt::format("ubfctl: {} of ubfd's queues did not answer in time, and "
                                      "theirs is not told here; see 'ubfctl status'\n",
                                      missing);
}

} // namespace ubf::ctl
