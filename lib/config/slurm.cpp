#include "config/slurm.hpp"

#include "base/escape.hpp"
#include "base/read_all.hpp"
#include "flow/host_addresses.hpp"
#include "owner/user_database.hpp"
#include "slurm/conf.hpp"

#include <algorithm>
#include <chrono>
#include <fmt/format.h>
#include <utility>

namespace ubf::config {
namespace {

constexpr Uid root{0};
constexpr UidRange everybody{Uid{0}, Uid{0xfffffffe}};
// All look-ups together. The names that are left are looked up again later.
constexpr std::chrono::seconds patience{10};

// Keeps what it read, so that all of it can be read again as it was.
class Reader {
  public:
    explicit Reader(const SlurmTexts& given)
      : given_(given) {}

    std::optional<std::string> read(const std::string& file) {
        const auto found = given_.find(file);
        auto text = found != given_.end() ? std::optional(found->second)
                    : given_.empty()      ? read_all(file, slurm::most_bytes)
                                          : std::nullopt;
        if (text)
            texts_.emplace(file, *text);
        return text;
    }
    SlurmTexts take() { return std::move(texts_); }

  private:
    const SlurmTexts& given_;
    SlurmTexts texts_;
};

// Without those that are part of another.
std::vector<Prefix> distinct_places(std::vector<Prefix> places) {
    std::ranges::sort(places, [](const Prefix& a, const Prefix& b) {
        return a.first() != b.first() ? a.first() < b.first() : a.length() < b.length();
    });
    std::vector<Prefix> result;
    for (const auto& place : places)
        if (result.empty() || !result.back().contains(place.first()))
            result.push_back(place);
    return result;
}

class Addition {
  public:
    Addition(Config& config, Names names)
      : config_(config)
      , names_(names)
      , end_(std::chrono::steady_clock::now() + patience) {}

    void add(const slurm::Conf& conf) {
        config_.slurm.warnings = conf.warnings;
        config_.labels.steps = conf.srun_ports.has_value();
        auto ports = conf.node_ports;
        ports.push_back(conf.controller_ports);
        ports.push_back({conf.database_port, conf.database_port});
        config_.slurm.ports = slurm::merged(std::move(ports));

        std::vector<Prefix> controllers;
        for (const auto& host : conf.controllers)
            add_place(controllers, host.address);
        auto hosts = controllers;
        for (const auto* list : {&conf.databases, &conf.nodes})
            for (const auto& host : *list)
                add_place(hosts, host.address);
        for (const auto& host : config_.slurm.submit_hosts)
            add_place(hosts, host);
        config_.slurm.hosts = distinct_places(std::move(hosts));
        add_exceptions(conf, distinct_places(std::move(controllers)));
    }

    void miss(std::string what) {
        config_.slurm.warnings.push_back(what);
        if (names_ != Names::pass_over)
            config_.unknown.names.push_back(std::move(what));
    }

  private:
    void add_place(std::vector<Prefix>& places, const std::string& host) {
        if (const auto place = Prefix::parse(host)) {
            places.push_back(*place);
            return;
        }
        if (names_ == Names::pass_over)
            return;
        const bool has_time = names_ != Names::list && std::chrono::steady_clock::now() < end_;
        const auto found = has_time ? host_places(host) : std::vector<Prefix>();
        if (found.empty())
            miss(fmt::format("{}: the host '{}' {}", config_.slurm.conf.string(), escape(host),
                             has_time ? "does not resolve" : "is not looked up yet"));
        places.insert(places.end(), found.begin(), found.end());
    }

    void add_exceptions(const slurm::Conf& conf, const std::vector<Prefix>& controllers) {
        std::vector<UidRange> daemons{{root, root}};
        if (names_ == Names::pass_over)
            return;
        // Slurm's usual user need not be looked up.
        const auto uid = conf.user == "root"     ? std::optional(root)
                         : names_ == Names::list ? std::nullopt
                                                 : look_up_uid(conf.user);
        if (!uid)
            miss(fmt::format("{}: SlurmUser '{}' is not known", config_.slurm.conf.string(),
                             escape(conf.user)));
        else if (*uid != root)
            daemons.push_back({*uid, *uid});
        auto& exceptions = config_.policy.exceptions;
        Exception exception;
        exception.udp = false;
        exception.connectors = everybody;
        exception.exempts_listener = true;
        for (const auto& daemon : daemons)
            for (const auto& ports : config_.slurm.ports) {
                exception.listeners = daemon;
                exception.ports = ports;
                exceptions.push_back(exception);
            }
        if (!conf.srun_ports)
            return;
        exception.exempts_listener = false;
        exception.listeners = everybody;
        exception.ports = *conf.srun_ports;
        exception.holder = Exception::Holder::slurmstepd;
        exceptions.push_back(exception);
        exception.holder = Exception::Holder::any;
        for (const auto& daemon : daemons)
            for (const auto& place : controllers) {
                exception.connectors = daemon;
                exception.from = place;
                exceptions.push_back(exception);
            }
    }

    Config& config_;
    Names names_;
    std::chrono::steady_clock::time_point end_;
};

} // namespace

void add_slurm(Config& config, Names names, const SlurmTexts& texts) {
    const auto file = config.slurm.conf.string();
    if (file.empty())
        return;
    Reader reader(texts);
    const auto text = reader.read(file);
    auto parsed =
        text ? slurm::parse_conf(*text, file,
                                 [&](const std::string& include) { return reader.read(include); })
             : slurm::Parsed{};
    if (!text)
        parsed.mistakes.push_back({file, 0, "can't be read; see slurm.conf in [slurm]"});
    Addition addition(config, names);
    if (parsed.mistakes.empty()) {
        config.slurm.texts = reader.take();
        return addition.add(parsed.conf);
    }
    std::string all;
    for (const auto& mistake : parsed.mistakes)
        all += (all.empty() ? "" : "\n") + to_string(mistake);
    if (names == Names::look_up)
        throw ConfigError(all);
    addition.miss(std::move(all));
}

} // namespace ubf::config
