// Finds what the uid alone doesn't tell: groups, labels and the program behind a socket. The search
// of /proc takes as long as the node has processes, so it has threads of its own; a packet waits
// for the answer without anybody waiting with it.
#pragma once

#include "daemon/core/counters.hpp"
#include "daemon/core/event_loop.hpp"
#include "daemon/owners/user_cache.hpp"
#include "ident/wire.hpp"
#include "owner/lookup.hpp"
#include "owner/process_search.hpp"

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>
#include <unordered_map>
#include <vector>

namespace ubf {

class Investigator {
  public:
    using Done = std::function<void(Credentials)>;

    // Throws std::system_error.
    Investigator(UserCache& users, Counters& counters);
    ~Investigator() { stop(); }

    // Ends the threads; whoever asks from now on hears at once that nothing was found.
    void stop();

    // What is remembered of this socket; cheap, never waits.
    std::optional<Credentials> remembered(Cookie cookie, ident::Role role);
    // Calls `done`, on a thread of the investigator, when the credentials are found, or with what
    // is known when the deadline passes or too many searches wait.
    void find(const SocketOwner& socket, ident::Role role, TimePoint deadline, Done done);
    // The same, now: the caller waits.
    Credentials find_now(const SocketOwner& socket, ident::Role role, TimePoint deadline);

  private:
    struct Job {
        SocketOwner socket;
        ident::Role role;
        TimePoint deadline;
        Done done;
    };
    struct Remembered {
        Credentials credentials;
        TimePoint found;
    };

    void run();
    Credentials search(const SocketOwner& socket, ident::Role role, TimePoint deadline);
    Credentials search_listener(const SocketOwner& socket, TimePoint deadline);
    Credentials search_connector(const SocketOwner& socket, TimePoint deadline);
    void remember(const SocketOwner& socket, const Credentials& credentials);
    std::vector<Pid> recent(Uid uid);
    void add_recent(Uid uid, Pid pid);

    static constexpr std::size_t most_jobs = 1024;
    static constexpr std::size_t most_remembered = 16384;
    // Who holds a listener changes with its processes: looked at again after this.
    static constexpr std::chrono::seconds fresh{10};

    UserCache& users_;
    Counters& counters_;
    ProcessSearch processes_;

    std::mutex mutex_;
    std::condition_variable wanted_;
    std::deque<Job> jobs_;
    std::unordered_map<Cookie, Remembered> listeners_;
    std::unordered_map<Uid, std::vector<Pid>> recent_;
    bool stopping_ = false;
    std::vector<std::thread> threads_;
};

} // namespace ubf
