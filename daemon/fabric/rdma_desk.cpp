#include "daemon/fabric/rdma_desk.hpp"

#include <algorithm>
#include <filesystem>
#include <fmt/format.h>
#include <system_error>
#include <utility>

namespace ubf {
namespace {

// A report waits so long for orders; then ubf-rdmad reports again.
constexpr std::chrono::seconds longest_wait{1};
// Without a report for so long, ubf-rdmad has gone, or stands still.
constexpr std::chrono::seconds patience{3};
constexpr std::chrono::seconds look_pause{5};

bool has_devices() {
    std::error_code error;
    const std::filesystem::directory_iterator devices("/sys/class/infiniband", error);
    return !error && devices != std::filesystem::directory_iterator();
}

} // namespace

RdmaDesk::RdmaDesk(ident::Asker& asker, std::shared_ptr<const RdmaRules> rules, Shared shared)
  : log_(shared.log)
  , asker_(asker)
  , off_(rules->mode == Config::Fabric::Rdma::off)
  , judge_(asker, std::move(rules), {shared.counters, shared.peers, shared.log, Clock::now},
           [this, &investigator = shared.investigator](Holder process, ident::Role role,
                                                       Method method) {
               thread_.heartbeat().beat(Clock::now()); // each may wait for the user database
               return investigator.of_process(std::move(process), role, method);
           })
  , next_look_(Clock::now() + look_pause) {
    thread_.loop().watch(asker_.fd(), [this] { asker_.receive(Clock::now()); });
    thread_.start("rdma", {}, {[this] { return next(); }, [this](TimePoint now) { go_on(now); }});
}

void RdmaDesk::stop() {
    thread_.post(
        [this] { judge_.forget("ubfd stops, and was not told whether the connection ended"); });
    thread_.stop();
}

void RdmaDesk::set_rules(std::shared_ptr<const RdmaRules> rules) {
    thread_.post([this, rules = std::move(rules)] {
        off_ = rules->mode == Config::Fabric::Rdma::off;
        judge_.set_rules(rules);
        show();
    });
}

void RdmaDesk::reconsider(Uid uid) {
    thread_.post([this, uid] { judge_.reconsider(uid); });
}

void RdmaDesk::report(const Json& request, std::function<void(Json)> reply) {
    auto report = rdma::to_report(request);
    if (!report)
        return reply({{"ok", false},
                      {"error", "the report is malformed; ubf-rdmad and ubfd must be of the same "
                                "version: restart both"}});
    thread_.post([this, report = std::move(*report), reply = std::move(reply)]() mutable {
        take(std::move(report), std::move(reply));
    });
}

void RdmaDesk::take(rdma::Report report, std::function<void(Json)> reply) {
    if (!report.begins && session_ != report.session)
        return reply({{"ok", false},
                      {"error", "ubfd listens to another ubf-rdmad, or has given this one up"}});
    answer_waiting();
    const auto now = Clock::now();
    heard_ = now;
    session_ = report.session;
    if (std::exchange(missed_, false))
        log_.info("ubf-rdmad reports again: RDMA connections are judged");
    waiting_ = Waiting{std::move(reply), now + longest_wait};
    status_.lock()->told = rdma::Report{report.session, report.begins,      report.state,
                                        report.cm_ids,  report.queue_pairs, report.foreign};
    judge_.take(std::move(report));
    show();
}

void RdmaDesk::answer_waiting() {
    if (auto waiting = std::exchange(waiting_, std::nullopt))
        waiting->reply(to_json(judge_.take_orders()));
}

void RdmaDesk::find(const Flow& flow, Done done) {
    thread_.post([this, flow, done = std::move(done)] {
        if (session_)
            done(judge_.answer(flow));
    });
}

std::optional<TimePoint> RdmaDesk::next() const {
    auto soonest = next_look_;
    if (session_)
        soonest = std::min(soonest, heard_ + patience);
    if (waiting_)
        soonest = std::min(soonest, waiting_->until);
    for (const auto& due : {asker_.next(), judge_.next()})
        soonest = std::min(soonest, due.value_or(soonest));
    return soonest;
}

void RdmaDesk::go_on(TimePoint now) {
    asker_.on_time(now);
    judge_.go_on(now);
    if (waiting_ && (judge_.orders().any() || now >= waiting_->until))
        answer_waiting();
    if (session_ && now - heard_ >= patience)
        lose();
    if (now < next_look_)
        return;
    next_look_ = now + look_pause;
    if (!session_ && !off_ && !missed_ && has_devices()) {
        missed_ = true;
        log_.warning("no ubf-rdmad reports, though this node has RDMA devices: connections of RDMA "
                     "are neither judged nor ended; start it with 'systemctl start ubf-rdmad'");
    }
    show();
}

// The kernel may have given the ends of a connection to others meanwhile.
void RdmaDesk::lose() {
    session_.reset();
    waiting_.reset();
    judge_.forget("ubf-rdmad has gone, and did not say whether it ended the connection");
    if (!off_) {
        missed_ = true;
        log_.warning("ubf-rdmad has stopped reporting: connections of RDMA are neither judged nor "
                     "ended until it is back; see 'systemctl status ubf-rdmad'");
    }
    show();
}

std::string RdmaDesk::state_of(const rdma::Report& told) const {
    if (off_)
        return "off (fabric.rdma)";
    if (!session_)
        return has_devices() ? "NOT WATCHED: no ubf-rdmad reports" : "no RDMA device";
    if (const auto more = judge_.beyond_room(); more != 0)
        return fmt::format("{}, but for {} connections for which there is no room", told.state,
                           more);
    return told.state;
}

void RdmaDesk::show() {
    auto state = state_of(status().told); // without the lock: it may look for devices
    const auto status = status_.lock();
    status->state = std::move(state);
    status->connections = judge_.connections();
}

RdmaDesk::Status RdmaDesk::status() const {
    return *status_.lock();
}

} // namespace ubf
