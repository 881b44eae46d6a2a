// Jobs of users, in turn: neither many nor slow jobs of one user hold up another's. Pure memory;
// the caller locks.
#pragma once

#include "owner/owner.hpp"

#include <algorithm>
#include <cstddef>
#include <deque>
#include <optional>
#include <unordered_map>
#include <utility>

namespace ubf {

template<typename Job>
class Turns {
  public:
    struct Limits {
        std::size_t waiting;         // in all
        std::size_t waiting_of_user; // of one user
        unsigned under_way_of_user;  // at a time
    };

    explicit Turns(Limits limits)
      : limits_(limits) {}

    // taken: the job waits. gave_way: another one, which is not done any more. It is the newest of
    // the user with most that wait, if this user has at least two fewer.
    struct Added {
        bool taken = false;
        std::optional<Job> gave_way{};
    };
    Added add(Uid user, Job job);

    // Whether a job can begin now.
    bool ready() const { return next() != turns_.end(); }
    // The oldest job of the user whose turn it is; it is under way until done(). Call it if
    // ready().
    std::pair<Uid, Job> take();
    void done(Uid user);

    void clear();

  private:
    struct User {
        std::deque<Job> waiting;
        unsigned under_way = 0;
    };

    std::deque<Uid>::const_iterator next() const;
    std::optional<Job> make_room(std::size_t own);

    const Limits limits_;
    std::unordered_map<Uid, User> users_;
    std::deque<Uid> turns_; // users whose jobs wait
    std::size_t waiting_ = 0;
};

template<typename Job>
auto Turns<Job>::add(Uid user, Job job) -> Added {
    const auto found = users_.find(user);
    const std::size_t own = found == users_.end() ? 0 : found->second.waiting.size();
    Added added;
    if (own < limits_.waiting_of_user && waiting_ >= limits_.waiting)
        added.gave_way = make_room(own);
    if (own >= limits_.waiting_of_user || waiting_ >= limits_.waiting)
        return added;
    auto& jobs = users_[user].waiting;
    if (jobs.empty())
        turns_.push_back(user);
    jobs.push_back(std::move(job));
    ++waiting_;
    added.taken = true;
    return added;
}

// own: how many of the user who needs room wait.
template<typename Job>
std::optional<Job> Turns<Job>::make_room(std::size_t own) {
    const auto most = std::ranges::max_element(
        users_, {}, [](const auto& entry) { return entry.second.waiting.size(); });
    if (most == users_.end() || most->second.waiting.size() < own + 2)
        return std::nullopt;
    auto& jobs = most->second.waiting;
    std::optional<Job> job = std::move(jobs.back());
    jobs.pop_back();
    --waiting_;
    return job;
}

// A user with no job under way comes first.
template<typename Job>
std::deque<Uid>::const_iterator Turns<Job>::next() const {
    const auto has_fewer_than = [this](unsigned count) {
        return std::ranges::find_if(
            turns_, [=, this](Uid user) { return users_.find(user)->second.under_way < count; });
    };
    const auto first = has_fewer_than(1);
    return first != turns_.end() ? first : has_fewer_than(limits_.under_way_of_user);
}

template<typename Job>
std::pair<Uid, Job> Turns<Job>::take() {
    const auto turn = next();
    const Uid uid = *turn;
    turns_.erase(turn);
    auto& user = users_.find(uid)->second;
    Job job = std::move(user.waiting.front());
    user.waiting.pop_front();
    --waiting_;
    ++user.under_way;
    if (!user.waiting.empty())
        turns_.push_back(uid); // at the end of the line
    return {uid, std::move(job)};
}

template<typename Job>
void Turns<Job>::done(Uid uid) {
    const auto user = users_.find(uid);
    if (user == users_.end())
        return; // cleared meanwhile
    if (--user->second.under_way == 0 && user->second.waiting.empty())
        users_.erase(user);
}

template<typename Job>
void Turns<Job>::clear() {
    users_.clear();
    turns_.clear();
    waiting_ = 0;
}

} // namespace ubf
