// `ubfctl log`: ubfd's lines in the journal, by what people ask for. journalctl does the work.
#include "arguments.hpp"
#include "command.hpp"
#include "names.hpp"
#include "owner/user_database.hpp"
#include "policy/verdict.hpp"

#include <cerrno>
#include <cstring>
#include <fmt/format.h>
#include <string>
#include <unistd.h>
#include <vector>

namespace ubf::ctl {
namespace {

// Any user can write into the journal under ubfd's name, with fields like ubfd's. The kernel says
// who wrote a line: ubfd runs as root or as its own user.
void add_writers(std::vector<std::string>& words) {
    words.emplace_back("_UID=0");
    if (const auto own = read_uid("ubf"))
        words.push_back(fmt::format("_UID={}", value(*own)));
}

} // namespace

int log(const Globals& globals, const Arguments& arguments) {
    namespace po = boost::program_options;
    po::options_description options;
    options.add_options()                    //
        ("since", po::value<std::string>())  //
        ("user", po::value<std::string>())   //
        ("reason", po::value<std::string>()) //
        ("follow", po::bool_switch());
    const auto given = parse("log", arguments, options);
    std::vector<std::string> words{"journalctl", "--identifier=ubfd"};
    if (given.contains("since"))
        words.push_back("--since=" + given["since"].as<std::string>());
    if (given["follow"].as<bool>())
        words.emplace_back("--follow");
    if (globals.json)
        words.emplace_back("--output=json");
    std::string reason;
    if (given.contains("reason")) {
        reason = given["reason"].as<std::string>();
        if (!parse_reason(reason))
            throw UsageError(
                fmt::format("log: there is no reason '{}'; ubfd(8) lists them", reason));
        reason = "UBF_REASON=" + reason;
    }
    const auto add_common = [&] {
        add_writers(words);
        if (!reason.empty())
            words.push_back(reason);
    };
    add_common();
    if (given.contains("user")) { // at either end: the terms before and after the plus are two
        const auto uid = uid_of(given["user"].as<std::string>());
        words.push_back(fmt::format("UBF_CONNECTOR_UID={}", uid));
        words.emplace_back("+");
        add_common();
        words.push_back(fmt::format("UBF_LISTENER_UID={}", uid));
    }
    std::vector<char*> argv;
    argv.reserve(words.size() + 1);
    for (auto& word : words)
        argv.push_back(word.data());
    argv.push_back(nullptr);
    ::execvp(argv.front(), argv.data());
    throw UsageError(fmt::format("log: journalctl can't be run: {}; without a journal, ubfd writes "
                                 "its log to where its standard error goes",
                                 std::strerror(errno)));
}

} // namespace ubf::ctl
