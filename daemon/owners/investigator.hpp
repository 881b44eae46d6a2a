// Finds what the uid alone doesn't tell: groups, labels and the program behind a socket, or that it
// is the kernel's own. The kernel's record of a socket is read at once. The time of a search
// of /proc grows with the node's processes, so searches have threads of their own. A packet waits
// for the answer, but no thread waits with it.
#pragma once

#include "base/guarded.hpp"
#include "daemon/core/counters.hpp"
#include "daemon/core/event_loop.hpp"
#include "daemon/core/heartbeat.hpp"
#include "daemon/owners/cgroup_paths.hpp"
#include "daemon/owners/labeller.hpp"
#include "daemon/owners/listener_cache.hpp"
#include "daemon/owners/owner_records.hpp"
#include "daemon/owners/owners.hpp"
#include "daemon/owners/recent_processes.hpp"
#include "daemon/owners/turns.hpp"
#include "daemon/owners/user_cache.hpp"
#include "ident/wire.hpp"
#include "owner/lookup.hpp"
#include "owner/process_search.hpp"

#include <array>
#include <atomic>
#include <condition_variable>
#include <functional>
#include <optional>
#include <thread>
#include <vector>

namespace ubf {

class Investigator final : public Owners {
  public:
    // The program of a web portal whose socket speaks for a user; called on any thread.
    using PortalProgram = std::function<Process(Cookie)>;
    // Throws std::system_error.
    Investigator(UserCache& users, const Labeller& labeller, const OwnerRecords& records,
                 CgroupPaths& cgroups, OwnerCounters& counters, PortalProgram program_of = {});
    ~Investigator() override { stop(); }

    // Ends the threads; from now on, find() refuses at once.
    void stop();

    // Whether a subordinate uid counts as the user who has it (Owner::account()).
    void count_subordinates(bool yes) { subordinates_ = yes; }
    Uid account_of(Uid uid) override;

    // The labels of this user's processes changed: all owners found so far, or by a search under
    // way, are stale.
    void forget(Uid uid);
    void forget_all();
    const Changes& changes() const override { return changes_; }

    bool may_share(Port port) const override { return records_.may_share(port); }

    std::optional<Owner> known(const SocketOwner& socket, ident::Role role) override;
    // Users take turns, and none gets all threads, so neither many nor slow searches hold up other
    // users. If too many searches wait in all, one of the user with most of them is dropped.
    bool find(const SocketOwner& socket, ident::Role role, TimePoint deadline, Done done) override;
    Owner find_now(const SocketOwner& socket, ident::Role role, TimePoint deadline) override;

    // The owner, if the process is known already. Waits for the user database, but not long.
    Owner of_process(Holder process, ident::Role role, Method method);
    // The user for whom a web portal's program asks; nullptr: the user database has no record.
    Owner of_portal(Uid user, Uid via, const Process& program, const UserCache::Record& record);
    static constexpr unsigned threads = 4;
    const std::array<Heartbeat, threads>& heartbeats() const { return heartbeats_; }

  private:
    struct Job {
        SocketOwner socket;
        ident::Role role;
        TimePoint deadline;
        Done done;
    };
    struct Waiting {
        Turns<Job> turns;
        bool stopping = false;
    };

    void run(Heartbeat& heartbeat);
    void do_one(const Job& job);
    std::optional<Owner> remembered(const SocketOwner& socket, ident::Role role);
    // Whether the kernel may be asked, which may block.
    enum class Ask : bool { nobody, kernel };
    std::optional<Holder> maker(const SocketInfo& socket, Uid uid, ident::Role role,
                                ProcessDetails details, Ask ask) const;
    std::optional<std::string> cgroups_of(const ubf_owner_record& record, Ask ask) const;
    Owner of_portal(const SocketOwner& socket, const UserCache::Record& record);
    std::optional<Owner> recorded(const SocketOwner& socket, ident::Role role);
    std::optional<SearchResult> makers(const SocketOwner& socket, ident::Role role,
                                       ProcessDetails details, Ask ask) const;
    struct Searched {
        Owner owner;
        bool in_time;
    };
    Searched search(const SocketOwner& socket, ident::Role role, TimePoint deadline);
    SearchResult search_processes(const SocketOwner& socket, ident::Role role, TimePoint deadline);
    Credentials of_listener(const SearchResult& result, Uid uid);
    Credentials of_connector(const SearchResult& result, const UserCache::Record& user, Uid uid);
    void add_labels_and_account(Credentials& credentials, const SearchResult& result, Uid uid,
                                std::chrono::milliseconds wait);
    Credentials credentials_of(const SearchResult& result, ident::Role role, Uid uid);

    static constexpr std::size_t most_jobs = 4096;
    static constexpr std::size_t most_jobs_of_one = 256;

    UserCache& users_;
    const Labeller& labeller_;
    const OwnerRecords& records_;
    CgroupPaths& cgroups_;
    OwnerCounters& counters_;
    const PortalProgram program_of_;
    ProcessSearch processes_;
    Changes changes_;
    std::atomic<bool> subordinates_{false};

    ListenerCache listeners_;
    RecentProcesses recent_;

    std::condition_variable wanted_;
    // One thread is always left to others.
    Guarded<Waiting> waiting_{Turns<Job>({most_jobs, most_jobs_of_one, threads - 1})};
    std::array<Heartbeat, threads> heartbeats_{
        Heartbeat("owners, the first"), Heartbeat("owners, the second"),
        Heartbeat("owners, the third"), Heartbeat("owners, the fourth")};
    std::vector<std::thread> threads_;
};

} // namespace ubf
