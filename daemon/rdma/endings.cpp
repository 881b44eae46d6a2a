#include "daemon/rdma/endings.hpp"

#include "base/escape.hpp"

#include <algorithm>
#include <cstring>
#include <fmt/format.h>
#include <utility>

namespace ubf::rdma {
namespace {

// A process that was killed and is still there after this has left its connection to another.
constexpr std::chrono::seconds dying_time{5};

std::string program(const Holder& process) {
    return fmt::format("{}[{}]", escape(process.status.comm), value(process.status.process));
}

} // namespace

Endings::Endings(const Connections& connections, const ProcessSearch& processes,
                 ListAgain list_again)
  : connections_(connections)
  , processes_(processes)
  , list_again_(std::move(list_again)) {}

// ubfd has considered all of this. But ubf-rdmad alone may kill, so it relies on nobody.
std::optional<std::string> Endings::obstacle(const Connections::Entry& entry) const {
    if (entry.old)
        return "it is older than ubf-rdmad";
    if (!entry.seen || entry.end != End::connector)
        return "it is not certain who began it";
    if (!entry.process || entry.id.maker.kernel)
        return "the thread that made it has ended, and nothing tells which process has it now";
    return std::nullopt;
}

// Whether the target is the process that was reported to ubfd, and still has made the connection.
bool Endings::is_the_same(const Connections::Entry& entry, const Target& target) const {
    const auto again = list_again_();
    return again && target.status().process == entry.process->status.process &&
           std::ranges::any_of(*again, [&](const CmId& id) {
               return id.key == entry.id.key && id.maker.task == entry.id.maker.task &&
                      is_connection(id);
           });
}

void Endings::order(const CmKey& key, TimePoint now) {
    const auto* entry = connections_.find(key);
    if (dying_.contains(key))
        return;
    if (entry == nullptr)
        return not_ended(key, "it is over already");
    if (auto why = obstacle(*entry))
        return not_ended(key, std::move(*why));
    const auto& task = entry->id.maker.task;
    // Hold of the process is taken first, so that the checks are about the process that is killed.
    const auto target = task ? Target::of(*task, processes_) : std::nullopt;
    if (!target || !is_the_same(*entry, *target))
        return not_ended(key, "the connector's process has ended or can't be killed");
    if (const int error = target->kill(); error != 0)
        return not_ended(key, fmt::format("{} could not be killed: {}", program(*entry->process),
                                          std::strerror(error)));
    dying_.emplace(key, Dying{program(*entry->process), entry->since, now + dying_time});
}

void Endings::look(TimePoint now) {
    for (auto at = dying_.begin(); at != dying_.end();) {
        const auto& [key, dying] = *at;
        const bool gone = connections_.find(key) == nullptr;
        if (!gone && now < dying.patience) {
            ++at;
            continue;
        }
        const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(now - dying.since);
        if (gone)
            outcomes_.push_back({key, true,
                                 fmt::format("the connector's process {} was killed, {} ms after "
                                             "the connection was seen",
                                             dying.program, took.count())});
        else
            not_ended(key, fmt::format("{} was killed, but another process holds the connection",
                                       dying.program));
        at = dying_.erase(at);
    }
}

void Endings::not_ended(const CmKey& key, std::string why) {
    outcomes_.push_back({key, false, std::move(why)});
}

} // namespace ubf::rdma
