#include "daemon/ubfctl/doctor/bundle.hpp"

#include "base/version.hpp"
#include "daemon/ubfctl/files.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <grp.h>
#include <pwd.h>
#include <sys/utsname.h>

namespace ubf::ctl::doctor {
namespace {

constexpr std::uint32_t first_person = 1000;
constexpr std::uint32_t nobody = 65534;

bool is_part(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '.';
}

// Settings that hold names, also such as the user database does not know now.
constexpr std::array named{"exempt_listeners", "exempt_connectors", "allow", "ignored_groups"};

Json settings(const Facts& facts, Pseudonyms& pseudonyms) {
    auto rows = Json::array();
    if (!facts.ubf.config)
        return rows;
    for (const auto& setting : all_settings(*facts.ubf.config)) {
        if (setting.where.empty())
            continue;
        const bool hidden = std::ranges::find(named, setting.key) != named.end();
        rows.push_back(fmt::format("{}.{} = {}", setting.section, setting.key,
                                   hidden ? fmt::format("({} characters)", setting.value.size())
                                          : pseudonyms.text(setting.value)));
    }
    return rows;
}

std::string system_name() {
    std::string name;
    each_line(read_text("/etc/os-release").value_or(std::string()), [&](std::string_view line) {
        constexpr std::string_view key = "PRETTY_NAME=";
        if (line.starts_with(key))
            name = line.substr(key.size());
    });
    return name;
}

// The length of a uid that stands behind a name, as in "alice(2001)"; 0 if none begins here.
std::size_t uid_length(std::string_view text, std::size_t at) {
    if (text[at] != '(' || at == 0 || text[at - 1] == ' ')
        return 0;
    const auto end = text.find_first_not_of("0123456789", at + 1);
    return end == std::string_view::npos || end == at + 1 || text[end] != ')' ? 0 : end + 1 - at;
}

} // namespace

std::string Pseudonyms::other(const std::string& word) {
    const auto [known, fresh] = known_.try_emplace(word, false);
    if (fresh)
        known->second = is_name_(word);
    if (!known->second)
        return word;
    return others_.try_emplace(word, fmt::format("person{}", others_.size() + 1)).first->second;
}

std::string Pseudonyms::text(std::string_view text) {
    std::string result;
    for (std::size_t at = 0; at < text.size();) {
        std::size_t end = at;
        while (end < text.size() && is_part(text[end]))
            ++end;
        if (const auto length = uid_length(text, at)) {
            result += "(hidden)";
            at += length;
            continue;
        }
        if (end == at) {
            result += text[at++];
            continue;
        }
        // A sentence's end belongs to no name.
        auto word = std::string(text.substr(at, end - at));
        std::string tail;
        while (word.ends_with('.') || word.ends_with('-')) {
            tail.insert(tail.begin(), word.back());
            word.pop_back();
        }
        result += other(word) + tail;
        at = end;
    }
    return result;
}

Json Pseudonyms::json(const Json& json) {
    if (json.is_string())
        return text(json.get_ref<const std::string&>());
    if (json.is_array()) {
        auto result = Json::array();
        for (const auto& item : json)
            result.push_back(this->json(item));
        return result;
    }
    if (!json.is_object())
        return json;
    auto result = Json::object();
    for (const auto& [key, item] : json.items())
        result[text(key)] = key == "uid" ? Json("hidden") : this->json(item);
    return result;
}

bool is_person(const std::string& word) {
    const auto is_persons = [](std::uint32_t id) { return id >= first_person && id != nobody; };
    if (const auto* user = ::getpwnam(word.c_str()); user != nullptr && is_persons(user->pw_uid))
        return true;
    const auto* group = ::getgrnam(word.c_str());
    return group != nullptr && is_persons(group->gr_gid);
}

Json bundle(const Facts& facts, const Json& checks, Pseudonyms& pseudonyms) {
    struct utsname system {};
    ::uname(&system);
    Json json{{"ubfctl", version_of("ubfctl")},
              {"kernel", fmt::format("{} {}", system.release, system.machine)},
              {"system", system_name()},
              {"checks", pseudonyms.json(checks)},
              {"settings", settings(facts, pseudonyms)}};
    const std::pair<const char*, const std::optional<Strings>&> rules[] = {
        {"disturbing", facts.beside.disturbing},
        {"refusing", facts.beside.refusing},
        {"translating", facts.beside.translating}};
    for (const auto& [name, sentences] : rules)
        json[name] = sentences ? pseudonyms.json(Json(*sentences)) : Json();
    if (facts.slurm.version)
        json["slurm"] =
            fmt::format("{}.{:02}", facts.slurm.version->first, facts.slurm.version->second);
    json["status"] = facts.ubf.status ? pseudonyms.json(*facts.ubf.status) : Json();
    return json;
}

} // namespace ubf::ctl::doctor
