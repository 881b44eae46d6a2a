// The start of the daemon's parts, in their order.
#include "daemon/daemon.hpp"

#include "base/descriptor_names.hpp"
#include "base/json.hpp"
#include "config/key_file.hpp"
#include "daemon/log/telling_shares.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <utility>

namespace ubf {
namespace {

// For ubfctl, which looks for them: ubfd does not read other users' processes for it.
nlohmann::ordered_json leftovers(const Config& config) {
    constexpr std::array words{"keep", "report", "kill"};
    nlohmann::ordered_json keep = nlohmann::ordered_json::array();
    for (const auto& users : config.listeners.keep)
        keep.push_back({value(users.first), value(users.last)});
    return {{"action", words.at(static_cast<std::size_t>(config.labels.leftovers))},
            {"keep", std::move(keep)}};
}

// For `ubfctl config`: every setting, and where it stands.
ControlServer::Json settings(const Config& config) {
    auto rows = ControlServer::Json::array();
    auto all = all_settings(config);
    if (const auto key = key_file(config, own_credentials()); key.is_credential) {
        const auto found = std::ranges::find(all, "key_file", &Setting::key);
        found->value = fmt::format("\"{}\"", key.path.string());
        found->where = "the credential ident.key";
    }
    for (const auto& setting : all)
        rows.push_back({{"section", setting.section},
                        {"key", setting.key},
                        {"value", setting.value},
                        {"where", setting.where}});
    return {{"ok", true}, {"settings", std::move(rows)}};
}

} // namespace

std::vector<std::unique_ptr<Queue>> Daemon::open_queues() {
    const auto& config = settings_.config();
    std::vector<std::unique_ptr<Queue>> queues;
    for (unsigned i = 0; i < config.queue.count; ++i) {
        const auto number = static_cast<std::uint16_t>(config.queue.first + i);
        queues.push_back(std::make_unique<Queue>(number, config.queue.length, config.mark,
                                                 counters_.gate,
                                                 store_.take(descriptor::queue(number))));
    }
    return queues;
}

// Refusals and exceptions from before a restart are known again. Peers are told of refusals from
// now on.
void Daemon::begin_memory() {
    auto& refusals = log_.refusals();
    if (const auto mistake =
            refusals.begin(settings_.config().labels.state_directory / "refusals.jsonl"))
        log_.warning(*mistake);
    if (const auto mistake = settings_.begin_exceptions())
        log_.warning(*mistake);
    refusals.on_new([this, shares = TellingShares()](const Refusal& refusal) mutable {
        if (!shares.take(refusal, Clock::now()))
            return;
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
        ident_.first_service().tell(std::move(refused));
    });
}

Shared Daemon::shared() {
    return {counters_,     ident_.peers(), owners_.investigator(),
            gates_.room(), log_,           owners_.tickets()};
}

void Daemon::begin_gates(std::vector<std::unique_ptr<Queue>> queues) {
    gates_.begin(std::move(queues), ident_, settings_.rules(), verdicts_.kernel(), shared());
    rdma_ = std::make_unique<RdmaDesk>(
        ident_.of_rdma(), rdma_rules(settings_.config(), *settings_.rules()),
        RdmaDesk::Shared{counters_, ident_.peers(), owners_.investigator(), log_});
}

void Daemon::begin_control() {
    const auto& config = settings_.config();
    owners_.begin_jobs(config, log_, counters_.jobs, [this](Uid uid) { relabel(uid); });
    follow_grants();
    auto& asker = ident_.of_explain();
    desks_ = std::make_unique<Desks>(
        std::make_unique<Explainer>(asker, settings_.rules(), settings_.scope(), owners_.sockets(),
                                    shared(), owners_.users(), recognition_.terms()),
        RemoteExplainer(
            [this](const Flow& flow, std::optional<Uid> as, auto patience, auto heard) {
                ident_.first_service().inquire(
                    flow, as, patience, [this, heard = std::move(heard)](const auto& decision) {
                        main_.post([heard, decision] { heard(decision); });
                    });
            },
            owners_.sockets(), ident_.peers(), owners_.users()),
        RefusalDesk(log_.refusals()),
        ExceptionDesk(settings_.exceptions(), log_, [this] { apply(settings_.again()); }),
        std::make_unique<Loading>(
            main_.loop(), settings_.options().config_file,
            [this](Loading::Loaded loaded) { return reload(std::move(loaded)); }));
    ident_.first_service().on(
        {[this](const Flow& flow, const PeerShares::Room& room) { gates_.reconsider(flow, room); },
         [this](const Flow& flow, auto done) { rdma_->find(flow, std::move(done)); },
         [this](const ident::Inquiry& inquiry, auto decided) {
             main_.post([this, inquiry, decided = std::move(decided)] {
                 desks_->explainer().decide(inquiry, decided);
             });
         }});
    main_.loop().watch(asker.fd(), [&asker] { asker.receive(Clock::now()); });
    gates_.begin_looking(main_.loop(), settings_.scope(), counters_.flows, log_);
    verdicts_.begin(main_.loop(), log_);
    add_commands();
    desks_->open(main_.loop(), config.control);
    desks_->open_portals(std::make_unique<Portals>(
        Portals::Parts{main_, owners_, ident_.of_portals(), ident_.peers(), counters_, log_},
        config, settings_.rules(), settings_.scope()));
    main_.begin([this] { desks_->loading().begin([](const auto&) {}); });
}

void Daemon::add_commands() {
    using Json = ControlServer::Json;
    using Reply = ControlServer::Reply;
    auto& commands = desks_->commands();
    const auto add = [&commands](const char* name, auto answer) {
        commands.add(name, [answer](const Json& request, Uid, const Reply& reply) {
            reply(answer(request));
        });
    };
    const auto add_later = [&commands](const char* name, auto begin) {
        commands.add(
            name, [begin](const Json& request, Uid, const Reply& reply) { begin(request, reply); });
    };
    add("status", [this](const Json& request) { return status(is_set(request, "peers")); });
    add("config", [this](const Json&) { return settings(settings_.config()); });
    add("allow", [this](const Json& request) { return desks_->exceptions().allow(request); });
    add_later("explain", [this](const Json& request, const Reply& reply) {
        if (!desks_->remote_explainer().explain(request, *settings_.rules(), reply))
            desks_->explainer().explain(request, reply);
    });
    add("refusals", [this](const Json& request) {
        return desks_->refusals().list(request, settings_.config().policy);
    });
    add_later("flows", [this](const Json& request, const Reply& reply) {
        with_recognised(reply, [=, this] { gates_.desk().list(request, reply); });
    });
    add_later("revoke", [this](const Json& request, const Reply& reply) {
        with_recognised(reply, [=, this] { gates_.desk().revoke(request, reply); });
    });
    add_later("reload", [this](const Json&, const Reply& reply) {
        desks_->loading().begin([reply](const std::optional<std::string>& mistake) {
            reply(mistake ? Json{{"ok", false}, {"error", *mistake}} : Json{{"ok", true}});
        });
    });
    add("job-begin", [this](const Json& request) { return owners_.jobs().begin(request); });
    add("job-end", [this](const Json& request) {
        auto reply = owners_.jobs().end(request);
        reply["leftovers"] = leftovers(settings_.config());
        return reply;
    });
    add("jobs", [this](const Json&) {
        auto reply = owners_.jobs().list();
        reply["leftovers"] = leftovers(settings_.config());
        return reply;
    });
    add_later("rdma", [this](const Json& request, const Reply& reply) {
        rdma_->report(request, [this, reply](Json answer) {
            main_.post([reply, answer = std::move(answer)] { reply(answer); });
        });
    });
    desks_->user_commands().add("why", [this](const Json& request, Uid asker, const Reply& reply) {
        const auto& config = settings_.config();
        reply(desks_->refusals().why(request, asker, config.control.reveal, config.policy));
    });
}

// Calls `then` when the workers know all flows that the kernel has let in by itself.
void Daemon::with_recognised(const ControlServer::Reply& reply, const std::function<void()>& then) {
    const auto recognisable = [this](const UndecidedFlow& flow) {
        return is_recognised(recognition_.terms(),
                             flow.fabric ? UBF_SIDE_FABRIC : UBF_SIDE_ETHERNET,
                             flow.flow.source.address, *flow.uid);
    };
    const bool found = gates_.undecided().adopt(recognisable, [this, then] { main_.post(then); });
    if (!found)
        reply({{"ok", false},
               {"error", "the kernel did not list the connections of this node, among which are "
                         "those that it recognised; try again"}});
}

void Daemon::install_ruleset() {
    ruleset_ =
        std::make_unique<RulesetKeeper>(settings_.config(), settings_.environment(),
                                        verdicts_.table(), keep_table_socket(), main_.loop(), log_);
    ruleset_->install();
    auto& undecided = gates_.undecided();
    ruleset_->on_whole_again([this, &undecided] {
        recognition_.put_evidence();
        undecided.look_for_them(Clock::now());
    });
    // At a first start, connections are older than the ruleset, and go on. After a restart they
    // were decided before, unless the table was gone meanwhile.
    if (store_.had_any() && !ruleset_->was_there())
        undecided.look_for_them(Clock::now());
    else
        undecided.pass_over_present();
    main_.loop().watch(recognition_.notices_fd(), [this] { recognition_.interfaces_changed(); });
    begin_recognition();
}

void Daemon::begin_recognition() {
    const auto& config = settings_.config();
    recognition_.begin(recognition_terms(config, settings_.rules()->terms->keys),
                       config.scope.interfaces, config.fabric.enabled);
    begin_pairs();
}

// The kernel forgets which peers have proven their certificates, and learns it anew.
void Daemon::begin_pairs() {
    if (const auto& identities = settings_.rules()->terms->identities)
        identities->set_stamps(recognition_.begin_pairs());
}

// A table that our socket owns goes with the socket, unless the kernel lets it stay. So systemd
// must keep the socket before it owns the table, or nothing would be refused once we die.
nft::Ownership Daemon::keep_table_socket() {
    using nft::Ownership;
    if (!DescriptorStore::is_there())
        return Ownership::none;
    const auto most = nft::Installer().probe_ownership();
    if (most == Ownership::none ||
        (most == Ownership::socket && !settings_.options().leave_ruleset))
        return Ownership::none;
    store_.keep(descriptor::table, verdicts_.table().fd());
    return most == Ownership::persistent || DescriptorStore::settle() ? most : Ownership::none;
}

void Daemon::keep_descriptors() {
    gates_.keep_queues(store_);
    store_.keep(descriptor::ident, ident_.fd());
    store_.replace(descriptor::stamp, recognition_.links().stamp.get());
    store_.replace(descriptor::arrive, recognition_.links().arrive.get());
    store_.drop_rest();
}

} // namespace ubf
