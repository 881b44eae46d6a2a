#include "daemon/rdma/watch.hpp"

#include "base/json.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <random>
#include <utility>

namespace ubf::rdma {
namespace {

// How soon a connection is seen. On a node with so many that the table takes long to read, it is
// read less often: that takes a twentieth of one CPU at most.
constexpr std::chrono::milliseconds pause{100};
constexpr int least_rest = 20;
// Nothing is there to be seen; a device may still come.
constexpr std::chrono::seconds long_pause{5};
// Until a process that was killed is gone.
constexpr std::chrono::milliseconds short_pause{20};
// However many questions come, the table is read no more often.
constexpr std::chrono::milliseconds least_age{20};

constexpr std::chrono::milliseconds connect_pause{200};
constexpr std::chrono::minutes complaint_pause{1};
// ubfd replies within a second, or it stands still. An order that comes later may be out of date.
constexpr std::chrono::seconds patience{5};
// One that waits for orders, and one with news.
constexpr std::size_t most_unanswered = 2;

std::uint64_t draw() {
    std::random_device device;
    return std::uint64_t{device()} << 32 | device();
}

} // namespace

Watch::Watch(EventLoop& loop, const std::filesystem::path& socket, std::function<void()> alive)
  : alive_(std::move(alive))
  , kernel_(alive_)
  , endings_(connections_, kernel_.processes(), [this] { return kernel_.list_again(); })
  , link_(
        loop, socket, [this](const std::string& line) { heard(line); },
        [this](const std::string& why) { lost(why); }) {}

TimePoint Watch::go_on(TimePoint now) {
    alive_();
    if (now >= next_look_)
        look(now);
    if (!link_.is_up() && now >= next_connect_)
        connect(now);
    if (link_.is_up() && !unanswered_.empty() && now - unanswered_.front() >= patience)
        link_.lose(fmt::format("it has not answered for {} s", patience.count()));
    const bool news = begins_ || connections_.has_news() || endings_.has_outcomes();
    if (link_.is_up() && unanswered_.size() < most_unanswered && (news || unanswered_.empty()))
        report(now);
    auto next = std::min(next_look_, now + std::chrono::seconds(1));
    if (!link_.is_up())
        next = std::min(next, next_connect_);
    return next;
}

void Watch::look(TimePoint now) {
    const auto before = kernel_.state();
    const bool there = kernel_.read(connections_, now);
    looked_ = now;
    if (kernel_.state() != before)
        log_.info(fmt::format("the watch over RDMA: {}", kernel_.state()));
    endings_.look(now);
    const Clock::duration rest = kernel_.reading() * least_rest;
    next_look_ = now + (there ? std::max<Clock::duration>(pause, rest) : long_pause);
    if (endings_.any())
        next_look_ = std::min(next_look_, now + short_pause);
}

void Watch::connect(TimePoint now) {
    next_connect_ = now + connect_pause;
    const auto mistake = link_.connect();
    if (!mistake.empty()) {
        lost(mistake);
        return;
    }
    session_ = draw();
    begins_ = true;
    unanswered_.clear();
    connections_.tell_all_again();
}

void Watch::lost(const std::string& why) {
    const auto now = Clock::now();
    next_connect_ = now + connect_pause;
    if (std::exchange(away_, true) && now < next_complaint_)
        return;
    next_complaint_ = now + complaint_pause;
    log_.warning(fmt::format("ubfd can't be asked: {}; until it can, no connection of RDMA is "
                             "judged or ended, and {} are here; see 'systemctl status ubfd'",
                             why, connections_.number()));
}

void Watch::report(TimePoint now) {
    Report report{session_,         std::exchange(begins_, false), kernel_.state(),
                  kernel_.cm_ids(), kernel_.unmanaged_pairs(),     kernel_.foreign()};
    report.outcomes = endings_.take_outcomes();
    for (const auto& outcome : report.outcomes)
        log_.info(fmt::format("ubfd ordered the end of a connection; {}: {}",
                              outcome.ended ? "ended" : "not ended", outcome.note));
    connections_.tell(report);
    unanswered_.push_back(now);
    link_.send(to_line(to_json(report)));
}

void Watch::heard(const std::string& line) {
    const auto now = Clock::now();
    const auto reply = nlohmann::ordered_json::parse(line, nullptr, false);
    const auto orders = to_orders(reply);
    if (!orders || unanswered_.empty()) {
        const bool told =
            reply.is_object() && reply.contains("error") && reply["error"].is_string();
        return link_.lose(told ? reply["error"].get<std::string>() : "its reply is malformed");
    }
    const bool late = now - unanswered_.front() >= patience;
    unanswered_.pop_front();
    if (late)
        return link_.lose("its answer came too late");
    if (std::exchange(away_, false))
        log_.info("ubfd answers again: connections of RDMA are judged");
    for (const auto& key : orders->end)
        endings_.order(key, now);
    if (orders->look)
        next_look_ = std::min(next_look_, looked_ + least_age);
    if (endings_.any())
        next_look_ = now;
}

std::string Watch::summary() const {
    return fmt::format("{}; {} connections; ubfd {}", kernel_.state(), connections_.number(),
                       link_.is_up() ? "is asked" : "can't be asked");
}

} // namespace ubf::rdma
