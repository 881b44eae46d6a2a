#include "daemon/log/folding.hpp"

#include <utility>

namespace ubf {

// The number of accounts is bounded. But one person may have many uids (subordinate ones, by
// newuidmap(1)) or addresses, and a peer may name any user.
bool Folding::has_room(const Account& account) const {
    const bool doubtful = account.of == Account::Of::stranger || account.of == Account::Of::told;
    return known_[static_cast<std::size_t>(account.of)] < (doubtful ? most_doubtful : most_users) ||
           accounts_.contains(account);
}

Folding::Taken Folding::add(Denial& denial, TimePoint now) {
    const auto account =
        charged_account(denial, [this](const Account& each) { return has_room(each); });
    const bool scan = denial.tries > 0;
    const auto count = scan ? denial.tries : 1;
    const auto& [protocol, source, destination] = denial.flow;
    const auto key =
        scan ? Key{account, {}, {}, {}, {}, {}, Reason::no_listener, false, false, false}
             : Key{account,
                   protocol,
                   source.address,
                   destination,
                   denial.connector.uid,
                   denial.listener.uid,
                   denial.reason,
                   denial.ended,
                   denial.observed,
                   denial.told_by.has_value()};
    if (const auto known = lines_.find(key); known != lines_.end()) {
        known->second.repeats += count;
        known->second.last = std::move(denial);
        return Taken::repeat;
    }
    const auto [entry, fresh] = accounts_.try_emplace(account);
    auto& charged = entry->second;
    if (fresh)
        ++known_[static_cast<std::size_t>(account.of)];
    const bool has_share = scan || charged.lines < (lines_.size() < most / 2 ? share : small_share);
    if (!has_share || lines_.size() >= most) {
        if (charged.over == 0)
            over_ends_.add(now + within_, account);
        charged.over += count;
        charged.last = std::move(denial);
        return Taken::over;
    }
    ++charged.lines;
    const auto line = lines_.try_emplace(key).first;
    if (scan)
        scan_ends_.add(now + scan_time, line);
    else
        ends_.add(now + within_, line);
    return Taken::line;
}

std::vector<Folding::Summary> Folding::due(TimePoint now, bool all) {
    std::vector<Summary> told;
    std::size_t looks = 0;
    const auto end_all = [&](auto& ends) {
        for (; all || looks < most_at_once; ++looks) {
            const auto due = ends.take(all ? TimePoint::max() : now);
            if (!due)
                return;
            end(due->key, told);
        }
    };
    end_all(ends_);
    end_all(scan_ends_);
    end_all(over_ends_);
    return told;
}

void Folding::end(Place place, std::vector<Summary>& told) {
    auto& [key, line] = *place;
    const auto account = std::get<Account>(key);
    const bool scan = line.last.tries > 0;
    if (line.repeats > 0)
        told.push_back({std::move(line.last), line.repeats, scan ? scan_time : within_, false});
    lines_.erase(place);
    --accounts_.at(account).lines;
    release(account);
}

void Folding::end(const Account& account, std::vector<Summary>& told) {
    auto& charged = accounts_.at(account);
    told.push_back({std::move(charged.last), std::exchange(charged.over, 0), within_, true});
    release(account);
}

void Folding::release(const Account& account) {
    const auto found = accounts_.find(account);
    if (found->second.lines > 0 || found->second.over > 0)
        return;
    --known_[static_cast<std::size_t>(found->first.of)];
    accounts_.erase(found);
}

} // namespace ubf
