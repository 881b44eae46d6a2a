#include "daemon/verdicts_in_kernel.hpp"

#include "base/descriptor_names.hpp"

#include <array>
#include <cstddef>
#include <utility>

namespace ubf {
namespace {

constexpr std::array senders_of{descriptor::senders_v4, descriptor::senders_v6}; // by family

} // namespace

VerdictsInKernel::VerdictsInKernel(const Config& config, const Scope& scope, int cgroup,
                                   DescriptorStore& store, Counters& counters)
  : table_(store.take(descriptor::table))
  , receivers_(config.owners.bpf, cgroup, store.take(descriptor::receivers),
               [&store](int link) { store.replace(descriptor::receivers, link); })
  , senders_(config, scope, cgroup,
             {store.take(descriptor::senders_v4), store.take(descriptor::senders_v6)},
             [&store](std::size_t family, int link) { store.replace(senders_of.at(family), link); })
  , udp_flows_(table_, lately_sent_, receivers_, counters)
  , exempt_listeners_(table_, counters.flows) {
    receivers_.observe(config.observed.all);
}

void VerdictsInKernel::begin(EventLoop& loop, Reporter& reporter) {
    if (senders_.fd() < 0)
        return;
    loop.watch(senders_.fd(), [this, &reporter] {
        senders_.take([&reporter](const Flow& flow, Uid user) {
            Denial denial{flow, Reason::shared_port, Owner::user(user), Owner()};
            denial.note = "another socket would get the answers";
            reporter.denial(std::move(denial));
        });
    });
}

void VerdictsInKernel::watch(Life& life) const {
    life.watch(udp_flows_.heartbeat());
    life.watch(sent_flows_.heartbeat());
    life.watch(answers_.heartbeat());
    life.watch(exempt_listeners_.heartbeat());
}

} // namespace ubf
