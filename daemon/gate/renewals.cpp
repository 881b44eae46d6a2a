#include "daemon/gate/renewals.hpp"

#include <iterator>

namespace ubf {
namespace {

constexpr std::chrono::seconds pause{10}; // from one look to the next
constexpr std::size_t most_of_one = 16384;

} // namespace

bool Renewals::has_room(Uid connector) const {
    const auto count = tcp_of_.find(connector);
    return count == tcp_of_.end() || count->second < most_of_one;
}

void Renewals::add(Renewal renewal) {
    if (!renewal.lease)
        ++tcp_of_[renewal.by_label->second];
    put_back(std::move(renewal));
}

std::optional<Renewal> Renewals::take_due(TimePoint now) {
    if (waiting_.empty() || waiting_.front().when > now)
        return std::nullopt;
    auto renewal = std::move(waiting_.front());
    waiting_.pop_front();
    return renewal;
}

void Renewals::put_back(Renewal renewal) {
    renewal.when = Clock::now() + pause;
    waiting_.push_back(std::move(renewal));
}

void Renewals::put_back_first(Renewal renewal) {
    renewal.when = renewal.decide = Clock::now();
    waiting_.push_front(std::move(renewal));
}

void Renewals::over(const Renewal& renewal) {
    if (renewal.lease)
        return;
    const auto count = tcp_of_.find(renewal.by_label->second);
    if (--count->second == 0)
        tcp_of_.erase(count);
}

void Renewals::hasten(const std::function<bool(const Renewal&)>& chosen) {
    const auto now = Clock::now();
    std::deque<Renewal> first;
    std::erase_if(waiting_, [&](Renewal& renewal) {
        if (!chosen(renewal))
            return false;
        renewal.when = renewal.decide = now;
        first.push_back(std::move(renewal));
        return true;
    });
    first.insert(first.end(), std::make_move_iterator(waiting_.begin()),
                 std::make_move_iterator(waiting_.end()));
    waiting_ = std::move(first);
}

std::optional<TimePoint> Renewals::next() const {
    if (waiting_.empty())
        return std::nullopt;
    return waiting_.front().when;
}

} // namespace ubf
