#include "daemon/owners/user_cache.hpp"

#include "daemon/core/thread.hpp"

#include <fmt/format.h>

namespace ubf {

UserCache::UserCache()
  : thread_([this] { run(); }) {}

UserCache::~UserCache() {
    known_.lock()->stopping = true;
    wanted_.notify_all();
    learned_.notify_all();
    thread_.join();
}

UserCache::Record UserCache::find(Uid uid, std::chrono::milliseconds wait) {
    return look_up(uid, wait).record;
}

std::optional<Uid> UserCache::subordinate_to(Uid uid, std::chrono::milliseconds wait) {
    return look_up(uid, wait).subordinate_to;
}

UserCache::Entry UserCache::look_up(Uid uid, std::chrono::milliseconds wait) {
    auto known = known_.lock();
    want(*known, uid);
    learned_.wait_for(known.mutex(), wait,
                      [&] { return known->stopping || known->entries[uid].known; });
    return known->entries[uid];
}

std::optional<UserCache::Record> UserCache::known(Uid uid) {
    const auto known = known_.lock();
    const auto& entry = want(*known, uid);
    return entry.known ? std::optional(entry.record) : std::nullopt;
}

std::optional<Uid> UserCache::person(Uid uid) {
    const auto known = known_.lock();
    if (known->queue.size() < few_queued)
        want(*known, uid);
    const auto found = known->entries.find(uid);
    if (found == known->entries.end())
        return std::nullopt;
    return found->second.record ? std::optional(uid) : found->second.subordinate_to;
}

// The record of this user; if it is old, it is read again.
const UserCache::Entry& UserCache::want(Known& known, Uid uid) {
    if (!known.entries.contains(uid))
        make_room(known);
    auto& entry = known.entries[uid];
    const bool old = !entry.known || Clock::now() - entry.read > fresh;
    if (old && !entry.queued && known.queue.size() < most_queued) {
        entry.queued = true;
        known.queue.push_back(uid);
        wanted_.notify_one();
    }
    return entry;
}

bool UserCache::ask(std::string whom, Done done) {
    auto user = cached(*known_.lock(), whom);
    if (user) {
        done(std::move(user));
        return true;
    }
    const auto known = known_.lock();
    if (known->stopping || known->asked.size() >= most_asked)
        return false;
    known->asked.push_back({std::move(whom), std::move(done)});
    wanted_.notify_one();
    return true;
}

// One who exists, as far as that is known without a question. If the record is old, it is read
// again.
std::optional<UserCache::User> UserCache::cached(Known& known, const std::string& whom) {
    const auto found = known.names.find(whom);
    if (found == known.names.end() || Clock::now() - found->second.read > fresh)
        return std::nullopt;
    const Uid uid = found->second.uid;
    const auto& entry = want(known, uid);
    return entry.record ? std::optional(User{uid, entry.record}) : std::nullopt;
}

// Names and uids that somebody waits for.
void UserCache::answer_asked(Known& known, std::unique_lock<std::mutex>& lock) {
    const auto [whom, done] = std::move(known.asked.front());
    known.asked.pop_front();
    lock.unlock();
    const auto uid = look_up_uid(whom);
    auto entry = uid ? read(*uid) : Entry{};
    const auto user = entry.record ? std::optional(User{*uid, entry.record}) : std::nullopt;
    lock.lock();
    // First this: whoever gets the answer may ask about the user at once.
    if (user)
        learn(known, whom, *uid, std::move(entry));
    lock.unlock();
    done(user);
    lock.lock();
}

void UserCache::learn(Known& known, const std::string& whom, Uid uid, Entry entry) {
    if (known.names.size() >= most)
        known.names.clear();
    known.names[whom] = {uid, entry.read};
    make_room(known);
    entry.queued = known.entries[uid].queued;
    known.entries[uid] = std::move(entry);
    learned_.notify_all();
}

std::string UserCache::name(Uid uid) {
    // If the directory doesn't answer anyway, the log does not wait for it.
    const std::chrono::milliseconds wait{heartbeat_.stands_still(Clock::now()) ? 0 : 100};
    return fmt::format("{}({})", look_up(uid, wait).name, value(uid));
}

// Any number of uids may come, as from another cluster. All entries that are not being read are
// evicted.
void UserCache::make_room(Known& known) {
    if (known.entries.size() < most)
        return;
    std::erase_if(known.entries, [](const auto& entry) { return !entry.second.queued; });
}

void UserCache::run() {
    enter_thread("users"); // the site's NSS modules get no capability
    auto known = known_.lock();
    while (true) {
        wanted_.wait_for(known.mutex(), Heartbeat::period, [&] {
            return known->stopping || !known->queue.empty() || !known->asked.empty();
        });
        if (known->stopping)
            return;
        heartbeat_.beat(Clock::now());
        if (!known->asked.empty())
            answer_asked(*known, known.mutex());
        if (known->queue.empty())
            continue;
        const Uid uid = known->queue.front();
        known->queue.pop_front();
        known.mutex().unlock();
        auto entry = read(uid);
        known.mutex().lock();
        known->entries[uid] = std::move(entry);
        learned_.notify_all();
    }
}

// A user with that uid comes before a user who has it as a subordinate one.
UserCache::Entry UserCache::read(Uid uid) {
    Entry entry;
    entry.known = true;
    if (auto record = read_user(uid)) {
        entry.name = record->name;
        entry.record = std::make_shared<const UserRecord>(std::move(*record));
    } else if (const auto account = read_subordinate(uid)) {
        const auto user = read_user(*account);
        entry.subordinate_to = account;
        entry.name = fmt::format("{}'s", user ? user->name : std::to_string(value(*account)));
    }
    entry.read = Clock::now();
    return entry;
}

} // namespace ubf
