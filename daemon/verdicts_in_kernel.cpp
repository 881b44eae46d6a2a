#include "daemon/verdicts_in_kernel.hpp"

#include "base/descriptor_names.hpp"

namespace ubf {

VerdictsInKernel::VerdictsInKernel(const Config& config, int cgroup, DescriptorStore& store,
                                   Counters& counters)
  : table_(store.take(descriptor::table))
  , receivers_(config.owners.bpf, cgroup, store.take(descriptor::receivers),
               [&store](int link) { store.replace(descriptor::receivers, link); })
  , udp_flows_(table_, lately_sent_, receivers_, counters)
  , exempt_listeners_(table_, counters.flows) {
    observe(config.observed.all);
}

void VerdictsInKernel::watch(Life& life) const {
    life.watch(udp_flows_.heartbeat());
    life.watch(sent_flows_.heartbeat());
    life.watch(answers_.heartbeat());
    life.watch(exempt_listeners_.heartbeat());
}

} // namespace ubf
