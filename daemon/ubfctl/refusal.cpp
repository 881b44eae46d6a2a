#include "refusal.hpp"

#include "base/escape.hpp"
#include "base/json.hpp"

#include <algorithm>
#include <array>
#include <ctime>
#include <fmt/format.h>
#include <string_view>
#include <utility>

namespace ubf::ctl {
namespace {

// Escapes that ubfd made stay. A report may be another node's, whose root writes what they like: a
// line feed, or a terminal's control sequence.
std::string printable(const Json& json, const char* key) {
    return escape(unescape(text_of(json, key)));
}

bool is_protocol(std::string_view name) {
    constexpr std::array all{Protocol::tcp, Protocol::udp, Protocol::rdma};
    return std::ranges::any_of(all, [&](Protocol each) { return to_string(each) == name; });
}

Refusal::End end_at(const Json& json, const char* key) {
    Refusal::End end;
    const auto found = json.find(key);
    if (found == json.end() || !found->is_object())
        return end;
    end.kind = printable(*found, "kind");
    if (found->contains("uid"))
        end.uid = number_of<std::uint32_t>(*found, "uid");
    end.program = printable(*found, "program");
    end.pid = number_of<std::int64_t>(*found, "pid");
    end.job = number_of<std::uint32_t>(*found, "job");
    end.by_portal = found->contains("via");
    return end;
}

std::string about_different_users(const Refusal& refusal, Names& names) {
    if (refusal.listener.uid == 0u)
        return refusal.hint + ".";
    const auto connector = user_of(refusal.connector, "the other user", names);
    const auto listener = user_of(refusal.listener, "the other user", names);
    if (refusal.common_groups.empty())
        return refusal.is_listeners
                   ? fmt::format("Your server is private. To let {} in, start it under a group of "
                                 "which both of you are members: sg GROUP 'COMMAND'.",
                                 connector)
                   : fmt::format(
                         "The server is {}'s, and private. Ask {} to start it under a group "
                         "of which both of you are members: sg GROUP 'COMMAND'.",
                         listener, listener);
    const auto group = names.group(refusal.common_groups.front());
    return refusal.is_listeners
               ? fmt::format("Your server is private. To let {} and all others of group {} in, "
                             "start it with: sg {} 'COMMAND'.",
                             connector, group, group)
               : fmt::format(
                     "The server is {}'s, and private. Both of you are members of group {}: "
                     "ask {} to start it with: sg {} 'COMMAND'.",
                     listener, group, listener, group);
}

} // namespace

std::optional<Refusal> to_refusal(const Json& json) {
    if (!json.is_object())
        return std::nullopt;
    const auto from = Endpoint::parse(text_of(json, "from"));
    const auto to = Endpoint::parse(text_of(json, "to"));
    const auto reason = parse_reason(text_of(json, "reason"));
    auto protocol = text_of(json, "protocol");
    if (!from || !to || !reason || !is_protocol(protocol))
        return std::nullopt;
    Refusal refusal;
    refusal.id = number_of<std::uint32_t>(json, "id");
    refusal.last_ms = number_of<std::int64_t>(json, "last_ms");
    refusal.count = number_of<std::uint64_t>(json, "count");
    refusal.protocol = std::move(protocol);
    refusal.from = *from;
    refusal.to = *to;
    refusal.reason = *reason;
    refusal.ended = is_set(json, "ended");
    refusal.observed = is_set(json, "observed");
    refusal.is_listeners = text_of(json, "role") == "listener";
    refusal.told_by = printable(json, "told_by");
    refusal.connector = end_at(json, "connector");
    refusal.listener = end_at(json, "listener");
    if (const auto groups = json.find("common_groups"); groups != json.end())
        for (const auto& gid : *groups)
            if (gid.is_number_unsigned())
                refusal.common_groups.push_back(gid.get<std::uint32_t>());
    refusal.hint = printable(json, "hint");
    return refusal;
}

std::string user_of(const Refusal::End& end, const std::string& otherwise, Names& names) {
    return end.uid ? names.user(*end.uid) : otherwise;
}

std::string verb_of(const Refusal& refusal) {
    if (refusal.observed)
        return refusal.ended ? "would end" : "would deny";
    return refusal.ended ? "ended" : "denied";
}

std::string reason_in_words(Reason reason) {
    switch (reason) {
    case Reason::different_user:
        return "the two programs belong to different users, and share no group or label that "
               "counts";
    case Reason::label_required:
        return "this site keeps labels apart, and the labels of the two programs differ";
    default:
        return std::string(hint(reason));
    }
}

std::string advice(const Refusal& refusal, Names& names) {
    switch (refusal.reason) {
    case Reason::different_user:
        return about_different_users(refusal, names);
    case Reason::label_required:
        return "Run both programs under one label: submit both jobs with the same --mcs-label.";
    case Reason::no_answer:
    case Reason::other_version:
    case Reason::internal_error:
    case Reason::outside:
    case Reason::unlisted:
    case Reason::unready:
        return fmt::format("You can't mend this: show this to your administrators (id {:08x}).",
                           refusal.id);
    default:
        return refusal.hint.empty() ? std::string(hint(refusal.reason)) + "." : refusal.hint + ".";
    }
}

std::string time_text(std::int64_t ms) {
    const auto seconds = static_cast<std::time_t>(ms / 1000);
    std::tm local{};
    std::array<char, 32> text{};
    if (::localtime_r(&seconds, &local) == nullptr ||
        std::strftime(text.data(), text.size(), "%Y-%m-%d %H:%M:%S", &local) == 0)
        return "?";
    return text.data();
}

std::string times(std::uint64_t count) {
    return count > 1 ? fmt::format("{} times", count) : std::string();
}

} // namespace ubf::ctl
