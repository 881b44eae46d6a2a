#include "daemon/temporary_exceptions.hpp"

#include "base/escape.hpp"
#include "base/json.hpp"
#include "base/replace_file.hpp"
#include "config/exception_text.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <fstream>
#include <iterator>
#include <system_error>
#include <utility>

namespace ubf {
namespace {

using Json = TemporaryExceptions::Json;

std::int64_t to_seconds(TemporaryExceptions::Time time) {
    return std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count();
}

Json to_json(const TemporaryExceptions::Item& item) {
    return {{"allow", item.text}, {"until_s", to_seconds(item.until)}};
}

} // namespace

std::optional<std::string> TemporaryExceptions::begin(std::filesystem::path file, Time now) {
    file_ = std::move(file);
    std::ifstream in(file_);
    const std::string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
    if (text.empty())
        return std::nullopt;
    const auto json = Json::parse(text, nullptr, false);
    if (!json.is_array())
        return fmt::format("{}: what stands there is no list of exceptions, and none holds",
                           file_.string());
    std::string lost;
    for (const auto& each : json) {
        const Time until{std::chrono::seconds(number_of<std::int64_t>(each, "until_s"))};
        if (until <= now)
            continue;
        if (auto mistake = take(each, until, now))
            lost += fmt::format("{}the exception '{}' of before the restart is lost: {}",
                                lost.empty() ? "" : "\n", escape(text_of(each, "allow")), *mistake);
    }
    return lost.empty() ? std::nullopt : std::optional(lost);
}

std::optional<std::string> TemporaryExceptions::take(const Json& row, Time until, Time now) {
    const auto text = text_of(row, "allow");
    const auto uids = text_of(row, "by_uid"); // not there: an older ubfd wrote it
    auto exception = parse_exception(uids.empty() ? text : uids);
    if (!exception)
        return exception.error();
    if (until > now + longest)
        return std::string("it would last longer than 30 days; see that the clock is right");
    if (items_.size() >= most)
        return fmt::format("there are {} already", items_.size());
    items_.push_back({text, *exception, until});
    return std::nullopt;
}

Result<TemporaryExceptions::Item, std::string> TemporaryExceptions::add(const std::string& text,
                                                                        const std::string& uids,
                                                                        std::chrono::seconds span,
                                                                        Time now) {
    if (span <= std::chrono::seconds(0) || span > longest)
        return fail(std::string("an exception lasts from a second to 30 days"));
    auto exception = parse_exception(uids.empty() ? text : uids);
    if (!exception)
        return fail(std::string(exception.error()));
    remove(text);
    if (items_.size() >= most)
        return fail(fmt::format("there are {} exceptions already; remove some, or write them into "
                                "policy.allow",
                                items_.size()));
    items_.push_back({text, *exception, now + span});
    return items_.back();
}

std::optional<TemporaryExceptions::Item> TemporaryExceptions::remove(const std::string& text) {
    const auto found = std::ranges::find(items_, text, &Item::text);
    if (found == items_.end())
        return std::nullopt;
    auto item = std::move(*found);
    items_.erase(found);
    return item;
}

std::vector<TemporaryExceptions::Item> TemporaryExceptions::take_expired(Time now) {
    std::vector<Item> expired;
    std::erase_if(items_, [&](const Item& item) {
        if (item.until > now)
            return false;
        expired.push_back(item);
        return true;
    });
    return expired;
}

std::vector<Exception> TemporaryExceptions::all() const {
    std::vector<Exception> exceptions;
    for (const auto& item : items_)
        exceptions.push_back(item.exception);
    return exceptions;
}

Json TemporaryExceptions::list(Time now) const {
    auto rows = Json::array();
    for (const auto& item : items_) {
        auto row = to_json(item);
        row["left_s"] = to_seconds(item.until) - to_seconds(now);
        rows.push_back(std::move(row));
    }
    return rows;
}

std::optional<std::string> TemporaryExceptions::save() const {
    auto rows = Json::array();
    for (const auto& item : items_) {
        rows.push_back(to_json(item));
        rows.back()["by_uid"] = with_uids(item.text, item.exception);
    }
    std::error_code ignored;
    std::filesystem::create_directories(file_.parent_path(), ignored);
    const auto error = replace_file(file_, rows.dump() + '\n', Durable::yes);
    if (!error)
        return std::nullopt;
    return fmt::format("{}: can't be written: {}; a restart would forget the exceptions",
                       file_.string(), error.message());
}

} // namespace ubf
