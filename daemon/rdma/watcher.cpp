// The thread, the table of ids, and who made them; judging.cpp has what is done about them.
#include "daemon/rdma/watcher.hpp"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fmt/format.h>
#include <linux/capability.h>
#include <set>

namespace ubf {
namespace {

// How soon a connection is seen; on a node with so many that the table takes long to read, later:
// that takes a twentieth of one CPU at most.
constexpr std::chrono::milliseconds pause{100};
constexpr int least_rest = 20;
// Nothing is there to be seen; a device may still come.
constexpr std::chrono::seconds long_pause{5};
// Until a process that was killed is gone.
constexpr std::chrono::milliseconds short_pause{20};
constexpr std::chrono::seconds count_pause{5};
// However many questions come, the table is read no more often.
constexpr std::chrono::milliseconds least_age{20};

// Without the subsystem, opening the socket could load a module that nobody needs.
bool has_subsystem() {
    std::error_code error;
    return std::filesystem::exists("/sys/class/infiniband", error);
}

} // namespace

RdmaWatcher::RdmaWatcher(ident::Asker& asker, std::shared_ptr<const RdmaRules> rules, Shared shared)
  : rules_(std::move(rules))
  , shared_(shared)
  , asker_(asker) {
    asker_.set_handler([this](const Flow& flow, ident::Asker::Heard heard, const Owner& owner) {
        answered(flow, heard, owner);
    });
    thread_.loop().watch(asker_.fd(), [this] { asker_.receive(); });
    // To kill, and to see processes that /proc hides (hidepid).
    thread_.start("rdma", {CAP_KILL, CAP_SYS_PTRACE},
                  {[this] { return std::min(asker_.next().value_or(next_look_), next_look_); },
                   [this](TimePoint now) {
                       asker_.on_time(now);
                       if (now >= next_look_)
                           look(now);
                   }});
}

void RdmaWatcher::set_rules(std::shared_ptr<const RdmaRules> rules) {
    thread_.post([this, rules = std::move(rules)] {
        rules_ = rules;
        asker_.set_terms(rules_->terms, rules_->deadline);
        next_look_ = {};
    });
}

void RdmaWatcher::reconsider(Uid uid) {
    thread_.post([this, uid] {
        for (auto& [key, entry] : entries_) {
            const bool concerned = entry.by_label && entry.owner &&
                                   (*entry.by_label == uid || entry.owner->uid == uid);
            if (entry.stage != Stage::judged || !concerned)
                continue;
            entry.stage = Stage::open;
            entry.owner.reset();
            entry.by_label.reset();
        }
    });
}

void RdmaWatcher::find(const Flow& flow, Done done) {
    thread_.post([this, flow, done = std::move(done)] { done(answer(flow, Clock::now())); });
}

RdmaWatcher::Status RdmaWatcher::status() const {
    const std::lock_guard lock(mutex_);
    return status_;
}

void RdmaWatcher::say(std::string state) {
    const std::lock_guard lock(mutex_);
    status_.state = std::move(state);
}

void RdmaWatcher::look(TimePoint now) {
    const bool watching = rules_->mode != Config::Fabric::Rdma::off;
    next_look_ = now + long_pause;
    const auto soon = [&](Clock::duration time) { next_look_ = std::min(next_look_, now + time); };
    if (!watching)
        say("off (fabric.rdma)");
    else if (!read_table(now))
        return;
    else if (devices_.empty())
        say("no RDMA device");
    else {
        say("active");
        soon(std::max<Clock::duration>(pause, reading_ * least_rest));
        judge_all(now);
        see_dying(now);
        if (now >= next_count_)
            count_queue_pairs(now);
        if (std::ranges::any_of(
                entries_, [](const auto& entry) { return entry.second.stage == Stage::killed; }))
            soon(short_pause);
    }
}

// False where there is no table, which is no error.
bool RdmaWatcher::read_table(TimePoint now) {
    read_ = now;
    if (!resources_ && has_subsystem())
        resources_ = rdma::Resources::open();
    if (!resources_) {
        say("no RDMA subsystem in the kernel");
        return false;
    }
    auto devices = resources_->devices();
    auto table = devices ? resources_->cm_ids(*devices)
                         : Result<rdma::Table<rdma::CmId>, int>(fail(int{devices.error()}));
    if (!table) {
        say(fmt::format("the kernel does not list connections: {}", std::strerror(table.error())));
        resources_.reset(); // what is left of its answer is of no use
        return false;
    }
    reading_ = Clock::now() - now;
    devices_ = std::move(*devices);
    {
        const std::lock_guard lock(mutex_);
        status_.cm_ids = table->entries.size();
        status_.foreign = table->skipped;
    }
    merge(std::move(table->entries), now);
    look_for_makers();
    name_owners();
    const std::lock_guard lock(mutex_);
    status_.connections = connections_.size();
    return true;
}

void RdmaWatcher::merge(std::vector<rdma::CmId> table, TimePoint now) {
    Listeners listeners;
    for (const auto& id : table)
        listeners.add(id);
    auto before = std::exchange(entries_, {});
    connections_.clear();
    for (auto& id : table) {
        auto node = before.extract(id.key);
        auto entry = node.empty() ? Entry{} : std::move(node.mapped());
        entry.old = entry.old || !begun_;
        entry.id = std::move(id);
        if (entry.stage == Stage::made && is_connection(entry.id)) {
            entry.stage = Stage::open;
            entry.since = now;
            entry.looked = false; // its maker may be another user's by now
            // One that is gone already was there when we looked before, or the connection were.
            auto listener = listeners.of(entry.id);
            if (!listener)
                listener = listeners_before_.of(entry.id);
            entry.end = listener ? End::listener : End::connector;
        }
        if (is_connection(entry.id))
            connections_.emplace(way_out(entry.id), entry.id.key);
        entries_.emplace(entry.id.key, std::move(entry));
    }
    listeners_before_ = std::move(listeners);
    begun_ = true;
    for (const auto& [key, entry] : before)
        over(entry);
}

// Nothing where the kernel doesn't list them any more.
std::optional<std::vector<rdma::CmId>> RdmaWatcher::list_again() {
    if (!resources_)
        return std::nullopt;
    auto table = resources_->cm_ids(devices_);
    if (!table)
        return std::nullopt;
    return std::move(table->entries);
}

// Reads which process made each new id. If the kernel names the same pid before and after the read,
// the pid was not reused in between: the kernel names none once the task has ended.
void RdmaWatcher::look_for_makers() {
    std::map<rdma::CmKey, Holder> read;
    const auto details = shared_.investigator.details();
    for (auto& [key, entry] : entries_) {
        if (entry.looked)
            continue;
        entry.looked = true;
        thread_.heartbeat().beat(Clock::now());
        if (const auto& task = entry.id.maker.task)
            if (auto process = processes_.task(*task, details))
                read.emplace(key, std::move(*process));
    }
    if (read.empty())
        return;
    const auto again = list_again();
    if (!again)
        return;
    for (const auto& id : *again) {
        auto process = read.extract(id.key);
        const auto entry = entries_.find(id.key);
        if (!process.empty() && entry != entries_.end() && id.maker == entry->second.id.maker)
            entry->second.process = std::move(process.mapped());
    }
}

void RdmaWatcher::name_owners() {
    for (auto& [key, entry] : entries_) {
        if (entry.stage == Stage::made || entry.owner)
            continue;
        thread_.heartbeat().beat(Clock::now());
        entry.owner = owner_of(entry);
    }
}

// Unknown where the task that made it has ended before we looked.
std::optional<Owner> RdmaWatcher::owner_of(const Entry& entry) {
    if (entry.id.maker.kernel)
        return Owner::kernel();
    auto process = entry.process;
    // The kernel names an accepted end after the listener's maker (cma.c,
    // rdma_restrack_parent_name).
    if (!process && entry.end == End::listener)
        if (const auto key = listeners_before_.of(entry.id))
            if (const auto found = entries_.find(*key); found != entries_.end())
                process = found->second.process;
    if (!process)
        return Owner{};
    const bool listens = entry.end == End::listener;
    return shared_.investigator.of_process(std::move(*process), role_of(entry.end),
                                           listens ? Method::rdma_listener
                                                   : Method::rdma_connector);
}

// The answer for a peer. If two connections of different users have the same ends, in two port
// spaces, nobody can tell which one is meant.
Owner RdmaWatcher::answer(const Flow& flow, TimePoint now) {
    if (!connections_.contains(flow) && now - read_ >= least_age)
        read_table(now);
    std::optional<Owner> owner;
    const auto [first, last] = connections_.equal_range(flow);
    for (auto at = first; at != last; ++at) {
        const auto& found = entries_.at(at->second).owner;
        if (!found || (owner && (owner->kind != found->kind || owner->uid != found->uid)))
            return Owner{};
        owner = found;
    }
    return owner.value_or(Owner{});
}

// Connections that were made without the connection manager: all that is known of them is that they
// are there.
void RdmaWatcher::count_queue_pairs(TimePoint now) {
    next_count_ = now + count_pause;
    const auto pairs = resources_->queue_pairs(devices_);
    if (!pairs)
        return;
    std::set<std::pair<std::uint32_t, std::uint32_t>> managed;
    for (const auto& [key, entry] : entries_)
        managed.emplace(key.device, entry.id.queue_pair);
    const auto count = std::ranges::count_if(pairs->entries, [&](const rdma::QueuePair& pair) {
        return pair.is_connected() && !pair.maker.kernel &&
               !managed.contains({pair.device, pair.number});
    });
    const std::lock_guard lock(mutex_);
    status_.queue_pairs = static_cast<std::size_t>(count);
}

} // namespace ubf
