// The start of the daemon's parts, in their order.
#include "daemon/daemon.hpp"

#include "base/descriptor_names.hpp"
#include "base/escape.hpp"
#include "owner/lookup.hpp"

#include <algorithm>
#include <cerrno>
#include <fmt/format.h>
#include <system_error>
#include <utility>

namespace ubf {
namespace {

// ident has as many threads as the peers have gates that ask, within reason.
std::size_t answering_threads(unsigned queues) {
    constexpr unsigned most = 8;
    return std::min(queues, most);
}

} // namespace

std::vector<std::unique_ptr<Queue>> Daemon::open_queues() {
    const auto& queue = start_.config.queue;
    std::vector<std::unique_ptr<Queue>> queues;
    for (unsigned i = 0; i < queue.count; ++i) {
        const auto number = static_cast<std::uint16_t>(queue.first + i);
        queues.push_back(std::make_unique<Queue>(number, queue.length, start_.config.mark,
                                                 counters_.gate,
                                                 store_.take(descriptor::queue(number))));
    }
    return queues;
}

// The askers: the workers, explain, and RDMA's judge.
void Daemon::begin_ident() {
    const auto first_asker = static_cast<std::size_t>(ident::Channel::first_asker);
    const unsigned queues = start_.config.queue.count;
    const std::size_t channels = first_asker + queues + 2u;
    open_ident(channels);
    for (const auto& socket : ident_sockets_) // its own thread reads what comes in there
        loop_.watch_errors(socket.fd(), [this, &socket] {
            for (const auto& address : socket.refusals())
                peers_.refused(address, Clock::now());
        });
    for (std::size_t i = first_asker; i < channels; ++i)
        askers_.push_back(std::make_unique<ident::Asker>(
            ident_sockets_[i], ident_sockets_.back(), static_cast<ident::Channel>(i),
            start_.rules->terms, start_.rules->deadline, peers_, counters_));
    for (std::size_t i = 0; i < answering_threads(queues); ++i)
        services_.push_back(std::make_unique<ident::Service>(
            ident_sockets_[i == 0 ? 0 : channels + i - 1], start_.rules->terms,
            start_.rules->deadline,
            ident::Service::Shared{peers_, investigator_, udp_flows_, sent_flows_, log_, counters_},
            i == 0 ? nullptr : services_.front().get()));
}

void Daemon::begin_gate(std::vector<std::unique_ptr<Queue>> queues) {
    const Kernel kernel{table_, udp_flows_, exempt_listeners_};
    for (std::size_t i = 0; i < queues.size(); ++i)
        workers_.push_back(std::make_unique<Worker>(std::move(queues[i]), *askers_[i], start_.rules,
                                                    kernel, shared()));
    services_.front()->on_withdrawn([this](const Flow& flow) {
        for (const auto& worker : workers_)
            worker->reconsider(flow);
    });
    rdma_ = std::make_unique<RdmaDesk>(*askers_[workers_.size() + 1u],
                                       rdma_rules(start_.config, *start_.rules),
                                       RdmaDesk::Shared{counters_, peers_, investigator_, log_});
    services_.front()->on_rdma(
        [this](const Flow& flow, auto done) { rdma_->find(flow, std::move(done)); });
}

// Refusals and exceptions from before a restart are known again. Peers are told of refusals from
// now on.
void Daemon::begin_memory() {
    const auto& folder = start_.config.labels.state_directory;
    if (const auto mistake = refusals_.begin(folder / "refusals.jsonl"))
        log_.warning(*mistake);
    if (const auto mistake =
            exceptions_.begin(folder / "exceptions.json", std::chrono::system_clock::now()))
        log_.warning(*mistake);
    start_ = with_exceptions(std::move(start_), exceptions_.all());
    refusals_.on_new([this](const Refusal& refusal) {
        const auto uid = [](const Refusal::End& end) {
            return end.kind == OwnerKind::user ? std::optional(end.uid) : std::nullopt;
        };
        ident::Refused refused;
        refused.flow = refusal.flow;
        refused.reason = refusal.reason;
        refused.ended = refusal.ended;
        refused.observed = refusal.observed;
        refused.connector = uid(refusal.connector);
        refused.listener = uid(refusal.listener);
        refused.program = {refusal.connector.pid, refusal.connector.program, refusal.connector.job};
        refused.common = refusal.common;
        services_.front()->tell(std::move(refused));
    });
}

Shared Daemon::shared() {
    return {counters_, peers_, investigator_, labelled_room_, log_};
}

void Daemon::begin_control() {
    jobs_ = std::make_unique<Jobs>(job_table_, start_.config.labels.state_directory, log_,
                                   counters_.jobs, [this](Uid uid) { relabel(uid); });
    auto& asker = *askers_[workers_.size()];
    explainer_ = std::make_unique<Explainer>(asker, start_.rules,
                                             watched_scope(start_.config, start_.environment),
                                             sockets_, shared(), users_, recognition_.terms());
    loop_.watch(asker.fd(), [&asker] { asker.receive(); });
    flow_desk_ = std::make_unique<FlowDesk>(loop_, workers_);
    control_ = std::make_unique<ControlServer>(
        loop_, start_.config.control.socket, ControlServer::For::root,
        [this](const auto& request, Uid, auto reply) { handle(request, reply); });
    if (!start_.config.control.user_socket.empty())
        user_control_ = std::make_unique<ControlServer>(
            loop_, start_.config.control.user_socket, ControlServer::For::everybody,
            [this](const auto& request, Uid user, auto reply) {
                reply(handle_users(request, user));
            });
    loop_.watch(signals_.get(), [this] { handle_signal(); });
}

void Daemon::install_ruleset() {
    undecided_ = std::make_unique<Undecided>(
        workers_, watched_scope(start_.config, start_.environment), counters_.flows, log_);
    ruleset_ = std::make_unique<RulesetKeeper>(start_.config, start_.environment, table_,
                                               keep_table_socket(), loop_, log_);
    ruleset_->install();
    ruleset_->on_whole_again([this] {
        recognition_.put_evidence();
        undecided_->look_for_them(Clock::now());
    });
    // At a first start, connections are older than the ruleset, and go on. After a restart they
    // were decided before, unless the table was gone meanwhile.
    if (store_.had_any() && !ruleset_->was_there())
        undecided_->look_for_them(Clock::now());
    else
        undecided_->pass_over_present();
    loop_.watch(recognition_.notices_fd(), [this] { recognition_.interfaces_changed(); });
    loop_.watch(mailbox_.fd(), [this] { mailbox_.run(); });
    begin_recognition();
}

void Daemon::begin_recognition() {
    const auto& config = start_.config;
    recognition_.begin(recognition_terms(config, start_.rules->terms->keys),
                       config.scope.interfaces, config.fabric.enabled);
}

// Calls `then` when the workers know all flows that the kernel has let in by itself.
void Daemon::with_recognised(const ControlServer::Reply& reply, const std::function<void()>& then) {
    const auto recognisable = [this](const UndecidedFlow& flow) {
        return is_recognised(recognition_.terms(),
                             flow.fabric ? UBF_SIDE_FABRIC : UBF_SIDE_ETHERNET,
                             flow.flow.source.address, *flow.uid);
    };
    const bool found = undecided_->adopt(recognisable, [this, then] { mailbox_.post(then); });
    if (!found)
        reply({{"ok", false},
               {"error", "the kernel did not list the connections of this node, among which are "
                         "those that it recognised; try again"}});
}

// Any user may have taken the port before us, where it isn't privileged.
void Daemon::open_ident(std::size_t channels) {
    const Port port = start_.config.ident.port;
    try {
        ident_sockets_ =
            ident::Socket::open(port, channels, answering_threads(start_.config.queue.count),
                                store_.take(descriptor::ident));
    } catch (const std::system_error& error) {
        const Endpoint here{*Address::parse("127.0.0.1"), port};
        const auto holder = OwnerLookup().receiver({Protocol::udp, here, here}, 0);
        if (error.code().value() != EADDRINUSE || !holder)
            throw;
        const auto owner = investigator_.find_now(*holder, ident::Role::listener,
                                                  Clock::now() + std::chrono::seconds(1));
        const auto process = owner.credentials ? owner.credentials->process : Process{};
        throw std::system_error(
            error.code(),
            fmt::format("binding the ident port, udp {}: {}'s program {}[{}] has it; stop it, or "
                        "set ident.port to another port on every node",
                        port, users_.name(owner.uid), escape(process.comm), value(process.pid)));
    }
    if (port >= start_.environment.unprivileged_port_start)
        log_.warning(fmt::format("ident.port {} is one that every user can take before ubfd does, "
                                 "who then keeps it from starting: choose one below "
                                 "net.ipv4.ip_unprivileged_port_start, {}",
                                 port, start_.environment.unprivileged_port_start));
}

// Has systemd keep this descriptor in place of another of that name; -1: keep none.
void Daemon::keep(const char* name, int fd) {
    store_.drop(name);
    if (fd >= 0)
        store_.keep(name, fd);
}

// A table that our socket owns goes with the socket, unless the kernel lets it stay. So systemd
// must keep the socket before it owns the table, or nothing would be refused once we die.
nft::Ownership Daemon::keep_table_socket() {
    using nft::Ownership;
    if (!DescriptorStore::is_there())
        return Ownership::none;
    const auto most = nft::Installer().probe_ownership();
    if (most == Ownership::none || (most == Ownership::socket && !options_.leave_ruleset))
        return Ownership::none;
    store_.keep(descriptor::table, table_.fd());
    return most == Ownership::persistent || DescriptorStore::settle() ? most : Ownership::none;
}

void Daemon::keep_descriptors() {
    for (const auto& worker : workers_)
        store_.keep(descriptor::queue(worker->queue().number()), worker->queue().fd());
    store_.keep(descriptor::ident, ident_sockets_.front().fd());
    keep(descriptor::stamp, recognition_.links().stamp.get());
    keep(descriptor::arrive, recognition_.links().arrive.get());
    store_.drop_rest();
}

} // namespace ubf
