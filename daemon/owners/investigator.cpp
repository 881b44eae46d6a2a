#include "daemon/owners/investigator.hpp"

#include "daemon/core/thread.hpp"

#include <algorithm>
#include <linux/capability.h>

namespace ubf {
namespace {

constexpr std::chrono::milliseconds database_budget{300};

void add_groups(std::vector<Gid>& groups, const std::vector<Gid>& more) {
    for (const Gid gid : more)
        if (std::ranges::find(groups, gid) == groups.end())
            groups.push_back(gid);
}

// The owner with empty credentials, as there is no time for a search.
Owner without_credentials(const SocketOwner& socket) {
    auto owner = socket.owner;
    owner.credentials = Credentials{};
    return owner;
}

} // namespace

Investigator::Investigator(UserCache& users, const Labeller& labeller, const OwnerRecords& records,
                           CgroupPaths& cgroups, OwnerCounters& counters, PortalProgram program_of)
  : users_(users)
  , labeller_(labeller)
  , records_(records)
  , cgroups_(cgroups)
  , counters_(counters)
  , program_of_(std::move(program_of)) {
    for (auto& heartbeat : heartbeats_)
        threads_.emplace_back([this, &heartbeat] { run(heartbeat); });
}

void Investigator::stop() {
    waiting_.lock()->stopping = true;
    wanted_.notify_all();
    for (auto& thread : threads_)
        thread.join();
    threads_.clear();
    waiting_.lock()->turns.clear();
}

std::optional<Owner> Investigator::known(const SocketOwner& socket, ident::Role role) {
    if (socket.owner.via) {
        const auto record = users_.known(socket.owner.uid);
        return record ? std::optional(of_portal(socket, *record)) : std::nullopt;
    }
    auto owner = remembered(socket, role);
    return owner ? owner : recorded(socket, role);
}

std::optional<Owner> Investigator::remembered(const SocketOwner& socket, ident::Role role) {
    if (role != ident::Role::listener)
        return std::nullopt;
    auto owner = listeners_.find(socket);
    if (owner)
        counters_.methods.add(Method::cookie_cache);
    return owner;
}

// The recorded owner, if neither the process nor the user database need be asked first.
std::optional<Owner> Investigator::recorded(const SocketOwner& socket, ident::Role role) {
    const auto result = makers(socket, role, labeller_.details(), Ask::nobody);
    if (!result)
        return std::nullopt;
    auto owner = socket.owner;
    const bool needs_user = role == ident::Role::connector || subordinates_;
    const auto user = needs_user ? users_.known(owner.uid) : std::optional(UserCache::Record{});
    if (!user)
        return std::nullopt;
    if (role == ident::Role::connector) {
        owner.credentials = of_connector(*result, *user, owner.uid);
    } else {
        owner.credentials = of_listener(*result, owner.uid);
    }
    add_labels_and_account(*owner.credentials, *result, owner.uid, {});
    counters_.methods.add(Method::kernel_record);
    return owner;
}

// The processes that made the sockets listen or connect, as if a search had found them.
std::optional<SearchResult> Investigator::makers(const SocketOwner& socket, ident::Role role,
                                                 ProcessDetails details, Ask ask) const {
    // The kernel may have taken over a socket of root's: rpc.nfsd's listener, for one.
    const Uid uid = socket.owner.uid;
    if (uid == Uid{0})
        return std::nullopt;
    SearchResult result{{}, Method::kernel_record, true};
    const auto add = [&](const SocketInfo& one) {
        auto process = maker(one, uid, role, details, ask);
        if (process)
            result.holders.push_back(std::move(*process));
        return process.has_value();
    };
    if (!add(socket.socket) || !std::ranges::all_of(socket.sharing, add))
        return std::nullopt;
    return result;
}

// The record has the process's cgroups, which tell its job. It has no SELinux context, which may
// change. So if the context is wanted, the process must still hold the socket.
std::optional<Holder> Investigator::maker(const SocketInfo& socket, Uid uid, ident::Role role,
                                          ProcessDetails details, Ask ask) const {
    const auto record = records_.find(socket.cookie, role);
    auto process = record ? maker_of(*record, uid) : std::nullopt;
    if (!process || !details.any())
        return process;
    if (record->several != 0)
        return std::nullopt;
    if (!details.context && !details.program) {
        auto cgroups = cgroups_of(*record, ask);
        if (cgroups) {
            process->cgroups = std::move(*cgroups);
            return process;
        }
    }
    if (ask == Ask::nobody)
        return std::nullopt;
    auto holder = processes_.holder_among({&process->pid, 1}, socket.inode, uid, details);
    if (!holder)
        return std::nullopt;
    process->cgroups = std::move(holder->cgroups);
    process->context = std::move(holder->context);
    process->is_slurmstepd = holder->is_slurmstepd;
    return process;
}

// The process's cgroups, as in /proc; nothing if it was moved since, or a cgroup is gone.
std::optional<std::string> Investigator::cgroups_of(const ubf_owner_record& record, Ask ask) const {
    if (!records_.has_cgroups(record))
        return std::nullopt;
    return ask == Ask::kernel ? cgroups_.find(record.cgroup_v1, record.cgroup_v2)
                              : cgroups_.known(record.cgroup_v1, record.cgroup_v2);
}

Uid Investigator::account_of(Uid uid) {
    return subordinates_ ? users_.subordinate_to(uid, {}).value_or(uid) : uid;
}

void Investigator::add_labels_and_account(Credentials& credentials, const SearchResult& result,
                                          Uid uid, std::chrono::milliseconds wait) {
    labeller_.add_labels(credentials, result, uid);
    if (subordinates_)
        credentials.account = users_.subordinate_to(uid, wait);
}

bool Investigator::find(const SocketOwner& socket, ident::Role role, TimePoint deadline,
                        Done done) {
    const Uid uid = account_of(socket.owner.uid); // whose turn it is
    Turns<Job>::Added added;
    if (const auto waiting = waiting_.lock(); !waiting->stopping)
        added = waiting->turns.add(uid, {socket, role, deadline, std::move(done)});
    if (added.taken)
        wanted_.notify_one();
    if (!added.taken || added.gave_way)
        counters_.searches_refused.add();
    if (added.gave_way)
        added.gave_way->done(without_credentials(added.gave_way->socket), false);
    return added.taken;
}

Owner Investigator::find_now(const SocketOwner& socket, ident::Role role, TimePoint deadline) {
    if (auto owner = known(socket, role))
        return std::move(*owner);
    return search(socket, role, deadline).owner;
}

void Investigator::run(Heartbeat& heartbeat) {
    // To read other users' /proc/PID/fd takes both.
    enter_thread("owners", {CAP_DAC_READ_SEARCH, CAP_SYS_PTRACE});
    auto waiting = waiting_.lock();
    auto& [turns, stopping] = *waiting;
    while (true) {
        wanted_.wait_for(waiting.mutex(), Heartbeat::period,
                         [&waiting] { return waiting->stopping || waiting->turns.ready(); });
        if (stopping)
            return;
        heartbeat.beat(Clock::now());
        if (!turns.ready())
            continue;
        const auto [uid, job] = turns.take();
        waiting.mutex().unlock();
        do_one(job);
        waiting.mutex().lock();
        turns.done(uid);
        wanted_.notify_one(); // this user may have more jobs
    }
}

// Skips the search if it waited too long: the asker has given up.
void Investigator::do_one(const Job& job) {
    if (Clock::now() >= job.deadline)
        return job.done(without_credentials(job.socket), false);
    if (auto owner = known(job.socket, job.role))
        return job.done(std::move(*owner), true);
    auto [owner, in_time] = search(job.socket, job.role, job.deadline);
    job.done(std::move(owner), in_time);
}

Investigator::Searched Investigator::search(const SocketOwner& socket, ident::Role role,
                                            TimePoint deadline) {
    const Uid uid = socket.owner.uid;
    if (socket.owner.via)
        return {of_portal(socket, users_.find(uid, database_budget)), true};
    const auto then = changes_.now();
    const auto result = search_processes(socket, role, deadline);
    auto owner = socket.owner;
    if (uid == Uid{0} && result.complete && result.holders.empty()) {
        owner = Owner::kernel();
        counters_.methods.add(result.method);
    } else {
        owner.credentials = credentials_of(result, role, uid);
        add_labels_and_account(*owner.credentials, result, uid, database_budget);
        counters_.methods.add(owner.credentials->method);
        if (owner.credentials->process.pid != Pid{})
            recent_.add(uid, owner.credentials->process.pid);
    }
    if (role == ident::Role::listener && result.complete)
        listeners_.add(socket, owner, changes_, then);
    return {std::move(owner), result.in_time};
}

SearchResult Investigator::search_processes(const SocketOwner& socket, ident::Role role,
                                            TimePoint deadline) {
    const auto details = labeller_.details();
    if (auto result =
            makers(socket, role, details, Ask::kernel)) // the user has yet to be looked up
        return std::move(*result);
    const Uid uid = socket.owner.uid;
    std::vector<std::uint32_t> inodes{socket.socket.inode};
    std::vector<Cookie> cookies{socket.socket.cookie};
    for (const auto& other : socket.sharing) {
        inodes.push_back(other.inode);
        cookies.push_back(other.cookie);
    }
    // A label must be that of every process that holds the socket, so all are looked for.
    if (role == ident::Role::connector && !details.any() && inodes.size() == 1) {
        if (auto holder = processes_.holder_among(recent_.of(uid), inodes.front(), uid))
            return {{std::move(*holder)}, Method::recent, true};
    }
    // Any user may have a million descriptors. If only /proc showed them, nobody's search would
    // end in time.
    return processes_.holders(inodes, uid, deadline, details, records_.holders(cookies, deadline));
}

// A listener's effective gid says which group its owner lets in, so it must be the process's own.
Credentials Investigator::of_listener(const SearchResult& result, Uid uid) {
    auto credentials = common_credentials(result, uid);
    const bool held_by_others_only = result.complete && !credentials.gid &&
                                     result.method == Method::all_processes &&
                                     !result.holders.empty();
    if (held_by_others_only) {
        if (const auto user = users_.find(uid, database_budget))
            credentials.gid = user->gid;
    }
    return credentials;
}

// A member may take a group at any time with newgrp. So the user database's groups of a connector
// count as much as those of its process. The process adds groups that it was given otherwise.
Credentials Investigator::of_connector(const SearchResult& result, const UserCache::Record& user,
                                       Uid uid) {
    auto credentials = common_credentials(result, uid);
    if (credentials.process.pid == Pid{})
        credentials.method = Method::user_database;
    if (user) {
        add_groups(credentials.groups, user->groups);
        if (!credentials.gid)
            credentials.gid = user->gid;
    }
    return credentials;
}

Credentials Investigator::credentials_of(const SearchResult& result, ident::Role role, Uid uid) {
    return role == ident::Role::listener
               ? of_listener(result, uid)
               : of_connector(result, users_.find(uid, database_budget), uid);
}

// A set-user-ID program of root's belongs to the user who started it. A program of root's that
// works for a user belongs to that user. Between two other users, the owner is not known.
Owner Investigator::of_process(Holder process, ident::Role role, Method method) {
    auto& status = process.status;
    if (status.uid == Uid{0})
        status.uid = status.real_uid;
    else if (status.real_uid != status.uid && status.real_uid != Uid{0})
        return Owner{};
    if (status.process != Pid{})
        process.pid = status.process;
    const Uid uid = status.uid;
    const SearchResult result{{std::move(process)}, method, true};
    auto owner = Owner::user(uid);
    owner.credentials = credentials_of(result, role, uid);
    add_labels_and_account(*owner.credentials, result, uid, database_budget);
    counters_.methods.add(method);
    return owner;
}

Owner Investigator::of_portal(const SocketOwner& socket, const UserCache::Record& record) {
    const auto program = program_of_ ? program_of_(socket.socket.cookie) : Process{};
    return of_portal(socket.owner.uid, *socket.owner.via, program, record);
}

// The portal's program is another user's: its groups, its job and its labels say nothing.
Owner Investigator::of_portal(Uid user, Uid via, const Process& program,
                              const UserCache::Record& record) {
    auto owner = Owner::user(user);
    owner.via = via;
    auto& credentials = owner.credentials.emplace();
    credentials.method = Method::portal;
    credentials.process = program;
    if (record) {
        credentials.gid = record->gid;
        credentials.groups = record->groups;
    }
    labeller_.add_mapped(credentials, user);
    counters_.methods.add(Method::portal);
    return owner;
}

void Investigator::forget(Uid uid) {
    changes_.add(uid);
    listeners_.forget(uid);
}

void Investigator::forget_all() {
    changes_.add_all();
    listeners_.forget_all();
}

} // namespace ubf
