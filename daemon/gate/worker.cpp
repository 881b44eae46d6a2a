#include "daemon/gate/worker.hpp"

#include <fmt/format.h>
#include <linux/capability.h>

namespace ubf {

Worker::Worker(std::unique_ptr<Queue> queue, ident::Asker& asker,
               const std::shared_ptr<const Rules>& rules, Kernel kernel, const Shared& shared)
  : queue_(std::move(queue))
  , thread_(fmt::format("gate of queue {}", queue_->number()))
  , sockets_(shared.tickets, Tickets::Use::spend)
  , verdicts_(kernel)
  , judge_(asker, rules, sockets_, verdicts_, shared, thread_.mailbox()) {
    queue_->set_fail_open(rules->observed.all);
    thread_.loop().watch(queue_->fd(), [this] { receive(); });
    thread_.loop().watch(asker.fd(), [&asker] { asker.receive(Clock::now()); });
    // For verdicts, and to make the kernel forget a flow.
    thread_.start("gate", {CAP_NET_ADMIN},
                  {[this] { return next(); }, [this](TimePoint now) { go_on(now); }});
}

void Worker::begin_stop() {
    thread_.post([this] {
        if (stop_by_)
            return;
        stop_by_ = Clock::now() + judge_.patience();
        thread_.loop().forget(queue_->fd());
    });
}

void Worker::stop() {
    begin_stop();
    thread_.join();
}

// --- from other threads ---

// Settles first, so that the book has all that was just allowed.
void Worker::post_settled(std::function<void(TimePoint now)> task) {
    thread_.post([this, task = std::move(task)] {
        const auto now = Clock::now();
        settle(now);
        task(now);
    });
}

void Worker::set_rules(std::shared_ptr<const Rules> rules, bool review) {
    post_settled([this, rules = std::move(rules), review](TimePoint) {
        queue_->set_fail_open(rules->observed.all);
        judge_.set_rules(rules, review);
    });
}

void Worker::reconsider(Uid uid) {
    post_settled([this, uid](TimePoint now) { judge_.book().hasten(uid, now); });
}

void Worker::reconsider(const Flow& flow, const PeerShares::Room& room) {
    thread_.post([this, flow, room] {
        const auto now = Clock::now();
        judge_.reconsider(flow);
        settle(now);
        judge_.book().hasten(flow, now);
    });
}

void Worker::list(FlowFilter filter, std::size_t most, FlowWalks::Done done) {
    post_settled([this, filter, most, done = std::move(done)](TimePoint) {
        judge_.book().list(filter, most, done);
    });
}

void Worker::revoke(FlowFilter filter, FlowWalks::Done done) {
    post_settled(
        [this, filter, done = std::move(done)](TimePoint) { judge_.book().revoke(filter, done); });
}

void Worker::take_known(std::vector<UndecidedFlow> flows,
                        std::function<void(std::vector<UndecidedFlow>)> done) {
    post_settled([this, flows = std::move(flows), done = std::move(done)](TimePoint now) mutable {
        judge_.book().take_known(
            flows, [this](const Flow& flow) { return judge_.is_open(flow); }, now);
        done(std::move(flows));
    });
}

void Worker::judge(std::vector<UndecidedFlow> flows) {
    thread_.post([this, flows = std::move(flows)] {
        const auto now = Clock::now();
        for (const auto& undecided : flows)
            if (!judge_.is_open(undecided.flow))
                judge_.book().add_undecided(undecided, now);
    });
}

void Worker::adopt(std::vector<UndecidedFlow> flows) {
    thread_.post([this, flows = std::move(flows)] {
        const auto now = Clock::now();
        for (const auto& recognised : flows)
            if (!judge_.is_open(recognised.flow))
                judge_.book().add_recognised(recognised, now);
    });
}

// --- the thread ---

void Worker::go_on(TimePoint now) {
    settle(now); // before all that can wait
    judge_.on_time(now);
    settle(now);
    hold_back();
    if (!stop_by_ || (judge_.any_open() && now < *stop_by_))
        return;
    judge_.drop_all();
    queue_->flush();
    thread_.end();
}

void Worker::receive() {
    const auto now = Clock::now();
    queue_->receive([this, now](Arrival arrival) { judge_.arrive(std::move(arrival), now); });
    judge_.begin_arrived(now);
}

// Sends what this round brought.
void Worker::settle(TimePoint now) {
    judge_.write(now);
    queue_->flush();
    judge_.confirm(now);
}

std::optional<TimePoint> Worker::next() const {
    if (queue_->has_unsent())
        return Clock::now() + std::chrono::milliseconds(1);
    return judge_.next();
}

// Leaves packets that can't be asked about yet in the kernel, where they take no place and are not
// dropped.
void Worker::hold_back() {
    if (stop_by_ || held_back_ == judge_.is_pressed())
        return;
    held_back_ = !held_back_;
    if (held_back_)
        thread_.loop().pause(queue_->fd());
    else
        thread_.loop().resume(queue_->fd());
}

} // namespace ubf
