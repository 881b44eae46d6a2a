// The user database, asked on a thread of its own, and cached. However slow the directory is, a
// caller waits only as long as it says.
#pragma once

#include "base/guarded.hpp"
#include "base/types.hpp"
#include "daemon/core/event_loop.hpp"
#include "daemon/core/heartbeat.hpp"
#include "owner/user_database.hpp"

#include <condition_variable>
#include <deque>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <unordered_map>

namespace ubf {

class UserCache {
  public:
    using Record = std::shared_ptr<const UserRecord>;

    UserCache();
    ~UserCache();

    // The user's record. If none is cached, waits so long at most. A stale one is returned at once,
    // and read again meanwhile. nullptr: there is no such user, or no answer yet.
    Record find(Uid uid, std::chrono::milliseconds wait);
    // The same without waiting; nothing if the user is not known yet.
    std::optional<Record> known(Uid uid);
    struct User {
        Uid uid{};
        Record record{};
    };
    // The user of this name or uid, as look_up_uid() has them; nothing if they are not known, or
    // not known yet.
    std::optional<User> known(const std::string& whom);
    // Calls `done` once, at once or on the cache's thread: with the record of the user of this name
    // or uid, or with nothing if there is none. False if too many wait; then it is not called.
    using Done = std::function<void(std::optional<User>)>;
    bool ask(std::string whom, Done done);
    // The user to whom a uid without a record is subordinate. Waits as find() does.
    std::optional<Uid> subordinate_to(Uid uid, std::chrono::milliseconds wait);
    // The person behind a uid: the user, or the one to whom it is subordinate. Nothing if the user
    // database names nobody, or is not yet known to. Does not wait, and asks only while few do.
    std::optional<Uid> person(Uid uid);
    // "alice(2001)", "?(2001)", or "alice's(100999)" for a subordinate uid of alice's. Waits as
    // find() does, unless no user has been found for long.
    std::string name(Uid uid, std::chrono::milliseconds wait = std::chrono::milliseconds{100});
    const Heartbeat& heartbeat() const { return shared_->heartbeat; }

  private:
    struct Entry {
        Record record;
        std::optional<Uid> subordinate_to{};
        std::string name{"?"}; // for the log
        TimePoint read{};
        bool known = false;
        bool queued = false;
    };

    static Entry read(Uid uid);
    Entry look_up(Uid uid, std::chrono::milliseconds wait);
    struct Name {
        Uid uid{};
        TimePoint read{};
    };
    struct Asked {
        std::string whom;
        Done done;
    };
    struct Known {
        std::unordered_map<Uid, Entry> entries;
        std::unordered_map<std::string, Name> names;
        std::deque<Uid> queue; // those that are to be read
        std::deque<Asked> asked;
        bool stopping = false;
    };
    // The thread's as well: it may wait for the user database longer than we are there.
    struct Shared {
        std::condition_variable wanted{};
        std::condition_variable learned{};
        Guarded<Known> known{};
        Heartbeat heartbeat{"users", "the user database (see nsswitch.conf)"};

        void run();
        void answer_asked(Known& locked, std::unique_lock<std::mutex>& lock);
        void learn(Known& locked, const std::string& whom, Uid uid, Entry entry);
        const Entry& want(Known& locked, Uid uid);
    };
    std::optional<User> cached(Known& known, const std::string& whom);
    static void make_room(Known& known);

    static constexpr std::size_t most = 65536;
    static constexpr std::size_t most_asked = 1024;
    static constexpr std::size_t most_queued = 4096; // those beyond stay unknown for now
    static constexpr std::size_t few_queued = 8;     // so that nobody waits long behind those
    static constexpr std::chrono::seconds fresh{60};

    const std::shared_ptr<Shared> shared_ = std::make_shared<Shared>();
    std::future<void> ended_; // of the thread
    std::thread thread_;
};

} // namespace ubf
