#include "daemon/ident/told_flows.hpp"

#include <algorithm>
#include <sodium.h>

namespace ubf::ident {
namespace {

// Five times within three seconds; a peer that hears none of them keeps the flow until the kernel's
// own UDP timeout.
constexpr std::chrono::milliseconds first_pause{100};
constexpr std::chrono::milliseconds last_pause{1600};

} // namespace

void ToldFlows::add(Cookie cookie, const Flow& flow, const Path& path, std::uint32_t interface) {
    if (size_ >= most) {
        // The oldest can't be told apart; any socket's flows make room, and are told as gone when
        // its peer asks again.
        size_ -= told_.begin()->second.size();
        told_.erase(told_.begin());
    }
    if (told_[cookie].insert_or_assign(flow, Told{path, interface}).second)
        ++size_;
}

// Those who have most of them make room among their own.
void ToldFlows::add_labelled(Uid uid, const Flow& flow, const Path& path, std::uint32_t interface) {
    auto& flows = labelled_[uid];
    if (flows.size() >= most_labelled_of_one)
        flows.erase(flows.begin());
    flows.insert_or_assign(flow, Told{path, interface});
}

std::vector<ToldFlows::Notice>
ToldFlows::withdrawn(Uid uid, TimePoint now,
                     const std::function<bool(const Flow&, const Told&)>& still_there) {
    const auto flows = labelled_.extract(uid);
    std::vector<Notice> notices;
    if (!flows)
        return notices;
    for (const auto& [flow, told] : flows.mapped())
        if (still_there(flow, told))
            notices.push_back(notice(flow, told, now));
    return notices;
}

std::vector<Uid> ToldFlows::labelled() const {
    std::vector<Uid> users;
    for (const auto& [uid, flows] : labelled_)
        users.push_back(uid);
    return users;
}

ToldFlows::Notice ToldFlows::notice(const Flow& flow, const Told& told, TimePoint now) {
    std::uint64_t nonce = 0;
    randombytes_buf(&nonce, sizeof nonce);
    Notice notice{{Nonce{nonce}, flow}, told.path, told.interface};
    if (unseen_.size() < most)
        unseen_.try_emplace(Nonce{nonce}, Unseen{notice, now + first_pause, first_pause});
    return notice;
}

std::vector<ToldFlows::Notice> ToldFlows::gone(Cookie cookie, TimePoint now) {
    const auto found = told_.find(cookie);
    if (found == told_.end())
        return {};
    std::vector<Notice> notices;
    for (const auto& [flow, told] : found->second)
        notices.push_back(notice(flow, told, now));
    size_ -= found->second.size();
    told_.erase(found);
    return notices;
}

std::vector<ToldFlows::Notice> ToldFlows::all_gone(TimePoint now) {
    std::vector<Notice> notices;
    while (!told_.empty()) {
        auto more = gone(told_.begin()->first, now);
        std::ranges::move(more, std::back_inserter(notices));
    }
    return notices;
}

void ToldFlows::seen(Nonce nonce, const Path& path) {
    const auto found = unseen_.find(nonce);
    if (found != unseen_.end() && found->second.notice.path.to == path.from)
        unseen_.erase(found);
}

std::vector<ToldFlows::Notice> ToldFlows::due(TimePoint now) {
    std::vector<Notice> notices;
    for (auto entry = unseen_.begin(); entry != unseen_.end();) {
        auto& unseen = entry->second;
        if (unseen.again > now) {
            ++entry;
            continue;
        }
        if (unseen.pause > last_pause) {
            entry = unseen_.erase(entry);
            continue;
        }
        notices.push_back(unseen.notice);
        unseen.pause *= 2;
        unseen.again = now + unseen.pause;
        ++entry;
    }
    return notices;
}

std::optional<TimePoint> ToldFlows::next() const {
    std::optional<TimePoint> soonest;
    for (const auto& [nonce, unseen] : unseen_)
        if (!soonest || unseen.again < *soonest)
            soonest = unseen.again;
    return soonest;
}

} // namespace ubf::ident
