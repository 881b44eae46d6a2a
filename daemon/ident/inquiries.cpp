#include "daemon/ident/inquiries.hpp"

#include <algorithm>
#include <chrono>

namespace ubf::ident {
namespace {

constexpr std::chrono::milliseconds first_pause{300};
// Every inquiry is answered sooner, or its asker has given up.
constexpr std::chrono::seconds longest_open{10};

} // namespace

void Inquiries::ask(const Asked& asked, TimePoint until, Heard heard, TimePoint now) {
    const auto nonce = asked.inquiry.nonce;
    if (asked_.size() >= most_asked || asked_.contains(nonce))
        return heard(std::nullopt);
    asked_.emplace(nonce, Pending{asked, until, now, first_pause, std::move(heard)});
}

std::vector<Inquiries::Asked> Inquiries::due(TimePoint now) {
    std::vector<Asked> again;
    for (auto each = asked_.begin(); each != asked_.end();) {
        auto& pending = each->second;
        if (pending.until <= now) {
            const auto heard = std::move(pending.heard);
            each = asked_.erase(each);
            heard(std::nullopt);
            continue;
        }
        if (pending.again <= now) {
            again.push_back(pending.asked);
            pending.again = now + pending.pause;
            pending.pause *= 2;
        }
        ++each;
    }
    return again;
}

std::optional<TimePoint> Inquiries::next() const {
    std::optional<TimePoint> soonest;
    for (const auto& [nonce, pending] : asked_) {
        const auto when = std::min(pending.again, pending.until);
        soonest = std::min(soonest.value_or(when), when);
    }
    return soonest;
}

bool Inquiries::answered(const Decision& decision, const Path& path) {
    const auto found = asked_.find(decision.nonce);
    if (found == asked_.end() || found->second.asked.path.from != path.to ||
        found->second.asked.path.to != path.from)
        return false;
    const auto heard = std::move(found->second.heard);
    asked_.erase(found);
    heard(decision);
    return true;
}

Inquiries::Admission Inquiries::begin(Nonce nonce, const Address& peer, TimePoint now) {
    std::erase_if(open_, [&](const auto& open) { return now - open.second >= longest_open; });
    if (now - second_ >= std::chrono::seconds(1)) {
        second_ = now;
        begun_.clear();
    }
    const auto open_of_peer =
        std::ranges::count_if(open_, [&](const auto& open) { return open.first.first == peer; });
    unsigned begun = 0;
    for (const auto& [each, count] : begun_)
        begun += count;
    const auto of_peer = begun_.find(peer);
    if (open_.contains({peer, nonce}) || open_.size() >= most_open || begun >= most_a_second ||
        static_cast<std::size_t>(open_of_peer) >= most_open_of_one ||
        (of_peer != begun_.end() && of_peer->second >= most_a_second_of_one))
        return Admission::refused;
    ++begun_[peer];
    open_.emplace(std::pair(peer, nonce), now);
    return Admission::admitted;
}

void Inquiries::end(Nonce nonce, const Address& peer) {
    open_.erase({peer, nonce});
}

} // namespace ubf::ident
