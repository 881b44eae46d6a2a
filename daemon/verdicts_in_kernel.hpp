// All verdicts that the kernel keeps for us beside connections of TCP: UDP flows with their leases,
// their receivers, the addresses that users may send under, and exempt listeners.
#pragma once

#include "config/config.hpp"
#include "daemon/core/counters.hpp"
#include "daemon/core/descriptor_store.hpp"
#include "daemon/core/event_loop.hpp"
#include "daemon/gate/exempt_listeners.hpp"
#include "daemon/gate/kept_verdicts.hpp"
#include "daemon/life.hpp"
#include "daemon/log/reporter.hpp"
#include "daemon/udp/answers.hpp"
#include "daemon/udp/lately_sent.hpp"
#include "daemon/udp/receivers.hpp"
#include "daemon/udp/senders.hpp"
#include "daemon/udp/sent_flows.hpp"
#include "daemon/udp/udp_flows.hpp"
#include "nft/connection.hpp"

namespace ubf {

class VerdictsInKernel {
  public:
    // cgroup: the root of version 2; -1: there is none. Throws std::system_error, nft::NftError.
    VerdictsInKernel(const Config& config, const Scope& scope, int cgroup, DescriptorStore& store,
                     Counters& counters);

    void set(const Config& config, const Scope& scope) {
        receivers_.observe(config.observed.all);
        senders_.set(config, scope);
    }
    // From now on, what the kernel refuses is reported. Both must last as long as this.
    void begin(EventLoop& loop, Reporter& reporter);
    void watch(Life& life) const;
    void stop() { sent_flows_.stop(); }

    Kernel kernel() { return {table_, udp_flows_, exempt_listeners_}; }
    nft::Connection& table() { return table_; }
    const UdpReceivers& receivers() const { return receivers_; }
    const UdpSenders& senders() const { return senders_; }
    UdpFlows& udp_flows() { return udp_flows_; }
    const UdpFlows& udp_flows() const { return udp_flows_; }
    SentFlows& sent_flows() { return sent_flows_; }
    const ExemptListeners& exempt_listeners() const { return exempt_listeners_; }

  private:
    nft::Connection table_; // all that writes into the table goes through it
    LatelySent lately_sent_;
    UdpReceivers receivers_;
    UdpSenders senders_;
    UdpFlows udp_flows_;
    SentFlows sent_flows_{lately_sent_};
    Answers answers_{table_, lately_sent_};
    ExemptListeners exempt_listeners_;
};

} // namespace ubf
