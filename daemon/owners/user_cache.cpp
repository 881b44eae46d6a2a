#include "daemon/owners/user_cache.hpp"

#include "daemon/core/thread.hpp"

#include <chrono>
#include <fmt/format.h>
#include <utility>

namespace ubf {

UserCache::UserCache() {
    std::promise<void> end;
    ended_ = end.get_future();
    thread_ = std::thread([shared = shared_, end = std::move(end)]() mutable {
        shared->run();
        end.set_value();
    });
}

// A stop does not wait for a user database that hangs.
UserCache::~UserCache() {
    constexpr std::chrono::milliseconds patience{500};
    shared_->known.lock()->stopping = true;
    shared_->wanted.notify_all();
    shared_->learned.notify_all();
    if (ended_.wait_for(patience) == std::future_status::ready)
        thread_.join();
    else
        thread_.detach();
}

UserCache::Record UserCache::find(Uid uid, std::chrono::milliseconds wait) {
    return look_up(uid, wait).record;
}

std::optional<Uid> UserCache::subordinate_to(Uid uid, std::chrono::milliseconds wait) {
    return look_up(uid, wait).subordinate_to;
}

UserCache::Entry UserCache::look_up(Uid uid, std::chrono::milliseconds wait) {
    auto known = shared_->known.lock();
    shared_->want(*known, uid);
    shared_->learned.wait_for(known.mutex(), wait,
                              [&] { return known->stopping || known->entries[uid].known; });
    return known->entries[uid];
}

std::optional<UserCache::User> UserCache::known(const std::string& whom) {
    return cached(*shared_->known.lock(), whom);
}

std::optional<UserCache::Record> UserCache::known(Uid uid) {
    const auto known = shared_->known.lock();
    const auto& entry = shared_->want(*known, uid);
    return entry.known ? std::optional(entry.record) : std::nullopt;
}

std::optional<Uid> UserCache::person(Uid uid) {
    const auto known = shared_->known.lock();
    if (known->queue.size() < few_queued)
        shared_->want(*known, uid);
    const auto found = known->entries.find(uid);
    if (found == known->entries.end())
        return std::nullopt;
    return found->second.record ? std::optional(uid) : found->second.subordinate_to;
}

// The record of this user; if it is old, it is read again.
const UserCache::Entry& UserCache::Shared::want(Known& locked, Uid uid) {
    if (!locked.entries.contains(uid))
        make_room(locked);
    auto& entry = locked.entries[uid];
    const bool old = !entry.known || Clock::now() - entry.read > fresh;
    if (old && !entry.queued && locked.queue.size() < most_queued) {
        entry.queued = true;
        locked.queue.push_back(uid);
        wanted.notify_one();
    }
    return entry;
}

bool UserCache::ask(std::string whom, Done done) {
    auto user = cached(*shared_->known.lock(), whom);
    if (user) {
        done(std::move(user));
        return true;
    }
    const auto known = shared_->known.lock();
    if (known->stopping || known->asked.size() >= most_asked)
        return false;
    known->asked.push_back({std::move(whom), std::move(done)});
    shared_->wanted.notify_one();
    return true;
}

// One who exists, as far as that is known without a question. If the record is old, it is read
// again.
std::optional<UserCache::User> UserCache::cached(Known& known, const std::string& whom) {
    const auto found = known.names.find(whom);
    if (found == known.names.end() || Clock::now() - found->second.read > fresh)
        return std::nullopt;
    const Uid uid = found->second.uid;
    const auto& entry = shared_->want(known, uid);
    return entry.record ? std::optional(User{uid, entry.record}) : std::nullopt;
}

// Names and uids that somebody waits for.
void UserCache::Shared::answer_asked(Known& locked, std::unique_lock<std::mutex>& lock) {
    const auto [whom, done] = std::move(locked.asked.front());
    locked.asked.pop_front();
    lock.unlock();
    const auto uid = look_up_uid(whom);
    auto entry = uid ? read(*uid) : Entry{};
    const auto user = entry.record ? std::optional(User{*uid, entry.record}) : std::nullopt;
    lock.lock();
    // First this: whoever gets the answer may ask about the user at once.
    if (user)
        learn(locked, whom, *uid, std::move(entry));
    if (locked.stopping) // whoever asked may be gone
        return;
    lock.unlock();
    done(user);
    lock.lock();
}

void UserCache::Shared::learn(Known& locked, const std::string& whom, Uid uid, Entry entry) {
    if (locked.names.size() >= most)
        locked.names.clear();
    locked.names[whom] = {uid, entry.read};
    make_room(locked);
    entry.queued = locked.entries[uid].queued;
    locked.entries[uid] = std::move(entry);
    learned.notify_all();
}

std::string UserCache::name(Uid uid, std::chrono::milliseconds wait) {
    // Nobody waits for a directory that doesn't answer anyway.
    if (shared_->heartbeat.stands_still(Clock::now()))
        wait = {};
    return fmt::format("{}({})", look_up(uid, wait).name, value(uid));
}

// Any number of uids may come, as from another cluster. All entries that are not being read are
// evicted.
void UserCache::make_room(Known& known) {
    if (known.entries.size() < most)
        return;
    std::erase_if(known.entries, [](const auto& entry) { return !entry.second.queued; });
}

void UserCache::Shared::run() {
    enter_thread("users"); // the site's NSS modules get no capability
    auto locked = known.lock();
    while (true) {
        wanted.wait_for(locked.mutex(), Heartbeat::period, [&] {
            return locked->stopping || !locked->queue.empty() || !locked->asked.empty();
        });
        if (locked->stopping)
            return;
        heartbeat.beat(Clock::now());
        if (!locked->asked.empty())
            answer_asked(*locked, locked.mutex());
        if (locked->queue.empty())
            continue;
        const Uid uid = locked->queue.front();
        locked->queue.pop_front();
        locked.mutex().unlock();
        auto entry = read(uid);
        locked.mutex().lock();
        locked->entries[uid] = std::move(entry);
        learned.notify_all();
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
