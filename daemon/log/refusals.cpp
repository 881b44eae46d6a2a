#include "daemon/log/refusals.hpp"

#include "base/replace_file.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fmt/format.h>
#include <fstream>
#include <random>
#include <system_error>
#include <utility>

namespace ubf {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::chrono::seconds between_writes{30};
constexpr std::size_t most_line = 16384;

} // namespace

Refusals::Refusals()
  : known_(RefusalMemory(std::random_device{}())) {}

void Refusals::on_new(Tell tell) {
    *tell_.lock() = std::move(tell);
}

// A scan is no refusal: nobody listened there.
void Refusals::add(Denial& denial, std::chrono::system_clock::time_point now) {
    if (denial.tries > 0)
        return;
    auto refusal = Refusal::of(denial, now);
    const auto known = known_.lock();
    const auto added = known->memory.add(refusal);
    denial.id = refusal.id = added.id;
    known->changed = true;
    if (added.is_new && !denial.told_by && known->untold.size() < most_untold)
        known->untold.push_back(std::move(refusal));
}

void Refusals::tell_new() {
    std::vector<Refusal> untold;
    known_.lock()->untold.swap(untold);
    const auto tell = tell_.lock();
    for (const auto& refusal : untold)
        if (*tell)
            (*tell)(refusal);
}

std::size_t Refusals::size() const {
    return known_.lock()->memory.size();
}

std::vector<Refusal> Refusals::list(std::size_t most,
                                    const std::function<bool(const Refusal&)>& chosen) const {
    auto all = known_.lock()->memory.all();
    std::erase_if(all, [&](const auto& refusal) { return !chosen(*refusal); });
    std::ranges::sort(all, std::ranges::greater{}, [](const auto& each) { return each->last; });
    all.resize(std::min(all.size(), most));
    std::vector<Refusal> listed;
    listed.reserve(all.size());
    for (const auto& each : all)
        listed.push_back(*each);
    return listed;
}

// A line for each refusal, the oldest first. A line that can't be read is passed over.
std::optional<std::string> Refusals::begin(std::filesystem::path file) {
    file_ = std::move(file);
    std::error_code error;
    if (!std::filesystem::exists(file_, error))
        return std::nullopt;
    std::ifstream in(file_);
    if (!in)
        return fmt::format("{}: what was refused before is not known: {}", file_.string(),
                           std::strerror(errno));
    std::size_t unread = 0;
    for (std::string line; std::getline(in, line) && size() < RefusalMemory::most;) {
        const auto json = line.size() <= most_line ? Json::parse(line, nullptr, false) : Json();
        if (auto refusal = to_refusal(json))
            known_.lock()->memory.restore(std::move(*refusal));
        else
            ++unread;
    }
    if (unread == 0)
        return std::nullopt;
    return fmt::format("{}: {} lines are no refusals, and are passed over", file_.string(), unread);
}

std::optional<std::string> Refusals::look(TimePoint now, bool last) {
    if (file_.empty() || (!last && now - saved_ < between_writes))
        return std::nullopt;
    saved_ = now;
    if (!std::exchange(known_.lock()->changed, false))
        return std::nullopt;
    auto mistake = save();
    if (mistake == mistake_)
        return std::nullopt;
    mistake_ = mistake;
    return mistake;
}

// The file has users' names in it: it is ours alone.
std::optional<std::string> Refusals::save() const {
    std::error_code error;
    const auto folder = file_.parent_path();
    if (std::filesystem::create_directories(folder, error))
        std::filesystem::permissions(folder, std::filesystem::perms::owner_all, error);
    auto all = list(RefusalMemory::most, [](const Refusal&) { return true; });
    std::ranges::reverse(all);
    std::string text;
    for (const auto& refusal : all)
        text += to_file_json(refusal).dump(-1, ' ', true, Json::error_handler_t::replace) + '\n';
    error = replace_file(file_, text, Durable::no);
    if (!error)
        return std::nullopt;
    return fmt::format("{}: refusals could not be written, and a restart would forget them: {}",
                       file_.string(), error.message());
}

} // namespace ubf
