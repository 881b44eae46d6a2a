#include "daemon/gates.hpp"

#include "base/descriptor_names.hpp"

#include <algorithm>
#include <functional>
#include <numeric>
#include <utility>

namespace ubf {

Gates::Gates() = default;

Gates::~Gates() {
    clear();
}

void Gates::begin(std::vector<std::unique_ptr<Queue>> queues, IdentEndpoint& ident,
                  const std::shared_ptr<const Rules>& rules, Kernel kernel, const Shared& shared) {
    for (std::size_t i = 0; i < queues.size(); ++i)
        workers_.push_back(std::make_unique<Worker>(std::move(queues[i]), ident.of_gate(i), rules,
                                                    kernel, shared));
}

void Gates::begin_looking(EventLoop& loop, Scope scope, FlowCounters& counters, Log& log) {
    undecided_ = std::make_unique<Undecided>(workers_, std::move(scope), counters, log);
    desk_ = std::make_unique<FlowDesk>(loop, workers_);
}

void Gates::set_rules(const std::shared_ptr<const Rules>& rules, bool review) {
    for (const auto& worker : workers_)
        worker->set_rules(rules, review);
}

void Gates::reconsider(Uid uid) {
    for (const auto& worker : workers_)
        worker->reconsider(uid);
}

void Gates::reconsider(const Flow& flow, const PeerShares::Room& room) {
    for (const auto& worker : workers_)
        worker->reconsider(flow, room);
}

void Gates::watch(Life& life) const {
    for (const auto& worker : workers_)
        life.watch(worker->heartbeat());
}

void Gates::keep_queues(DescriptorStore& store) const {
    for (const auto& worker : workers_)
        store.keep(descriptor::queue(worker->queue().number()), worker->queue().fd());
}

void Gates::stop() {
    for (const auto& worker : workers_)
        worker->begin_stop();
    for (const auto& worker : workers_)
        worker->stop();
}

// Their threads answer the desk, and go first.
void Gates::clear() {
    workers_.clear();
}

std::size_t Gates::flows() const {
    return std::transform_reduce(workers_.begin(), workers_.end(), std::size_t{0}, std::plus<>(),
                                 [](const auto& worker) { return worker->flows(); });
}

std::optional<TimePoint> Gates::next() const {
    const auto looks = undecided_->next();
    const auto answers = desk_->next();
    return looks && answers ? std::min(*looks, *answers) : looks ? looks : answers;
}

void Gates::on_time(TimePoint now) {
    undecided_->on_time(now);
    desk_->on_time(now);
}

} // namespace ubf
