#include "daemon/recognition/recognition.hpp"

#include "daemon/core/bpf_programs.hpp"
#include "nft/sets.hpp"
#include "recognition.skel.h"

#include <algorithm>
#include <bpf/bpf.h>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <fmt/format.h>
#include <malloc.h>
#include <sys/random.h>

namespace ubf {
namespace {

static_assert(nft::recognised_mask == UBF_EVIDENCE_MASK);

constexpr std::uint64_t nanoseconds = 1'000'000'000;
constexpr std::uint64_t alive_for = 3 * nanoseconds; // until the terms expire
constexpr std::chrono::seconds pause_between_looks{10};

std::uint64_t now(clockid_t clock) {
    timespec time{};
    ::clock_gettime(clock, &time);
    return static_cast<std::uint64_t>(time.tv_sec) * nanoseconds +
           static_cast<std::uint64_t>(time.tv_nsec);
}

// A number that no packet has, by chance or by anyone's choice. Small numbers are left out: people
// give them to classes of traffic (tc(8)).
std::uint32_t make_evidence() {
    constexpr std::uint32_t small = 0x0fff0000;
    constexpr std::uint32_t automatic =
        0x8; // from 8000: to 8fff: the kernel gives them (sch_api.c)
    std::uint32_t number = 0;
    while (::getrandom(&number, sizeof number, 0) != sizeof number || number <= small ||
           number >> 28 == automatic) {
    }
    return number & UBF_EVIDENCE_MASK;
}

// For this node's connections with itself.
ubf_recognition_key make_key() {
    ubf_recognition_key key{};
    while (::getrandom(key.words, sizeof key.words, 0) != sizeof key.words) {
    }
    key.is_there = 1;
    return key;
}

ubf_recognition_address address_of(const RecognitionTerms::Peers& peers) {
    constexpr unsigned side_bits = 32;
    const auto& range = peers.range;
    ubf_recognition_address address{};
    address.prefix = side_bits + range.length() + (range.is_v4() ? 96 : 0);
    address.side = peers.side;
    std::ranges::copy(range.first().bytes(), address.address);
    return address;
}

bool same(const ubf_recognition_address& a, const ubf_recognition_address& b) {
    return std::memcmp(&a, &b, sizeof a) == 0;
}

} // namespace

void Recognition::Unload::operator()(recognition_bpf* program) const {
    ::recognition_bpf__destroy(program);
}

Recognition::Recognition(bool wanted, int cgroup, Links kept, nft::Connection& table)
  : sets_(table) {
    sets_.recognise(std::nullopt); // if the table is there already
    lacks_ = wanted ? load(cgroup, std::move(kept)) : "owners.recognise is false";
    if (!lacks_.empty()) {
        program_.reset();
        links_ = {};
    }
    ::malloc_trim(0); // libbpf took megabytes to read the kernel's types, and needs them no more
}

Recognition::~Recognition() {
    pause();
}

std::string Recognition::load(int cgroup, Links kept) {
    if (!kernel_has_types())
        return needs_types;
    if (cgroup < 0)
        return needs_cgroups;
    ::libbpf_set_print(nullptr); // state() says it
    program_.reset(::recognition_bpf__open());
    if (!program_)
        return network_failure_of("opening the BPF programs", errno);
    program_->rodata->net_namespace = inode_of("/proc/self/ns/net");
    if (const int error = ::recognition_bpf__load(program_.get()); error != 0)
        return network_failure_of("loading the BPF programs", -error);
    if (!can_be_used_without_privileges(::bpf_map__fd(program_->maps.counts)))
        return needs_privileges;
    const auto& programs = program_->progs;
    links_.arrive =
        attach(std::move(kept.arrive), programs.arrive, cgroup, BPF_CGROUP_INET_INGRESS);
    if (links_.arrive)
        links_.stamp = attach(std::move(kept.stamp), programs.stamp, cgroup, BPF_CGROUP_SOCK_OPS);
    if (!links_.stamp)
        return fmt::format("a BPF program could not be attached: {}; is another of its kind there, "
                           "attached so that it stays alone (bpftool cgroup tree)?",
                           std::strerror(errno));
    return {};
}

void Recognition::pause() {
    sets_.recognise(std::nullopt);
    tell(false);
}

void Recognition::begin(const RecognitionTerms& terms, const WatchedInterfaces& watched,
                        bool has_fabric) {
    terms_ = terms;
    if (!program_)
        terms_.why_not = lacks_;
    if (!in_use())
        return filters_.remove_all();
    terms_.agreed.evidence = make_evidence();
    terms_.agreed.generation = ++generation_;
    if (terms_.agreed.keys[0].is_there == 0)
        terms_.agreed.keys[0] = make_key();
    watched_ = watched;
    has_fabric_ = has_fabric;
    tell(false); // nobody is recognised until all peers are in the map
    tell_peers(terms.peers);
    PairKeys::clear(::bpf_map__fd(program_->maps.pairs), ::bpf_map__fd(program_->maps.words));
    if (failed_peers_) { // the map's peers are not known any more
        terms_.why_not = "the kernel has no room for the peers' ranges";
        return filters_.remove_all();
    }
    put_filters();
    tell(true);
    put_evidence();
}

void Recognition::put_evidence() {
    has_set_ = in_use() && sets_.recognise(terms_.agreed.evidence) == 0;
}

std::shared_ptr<ident::StampKeys> Recognition::begin_pairs() {
    if (!in_use())
        return nullptr;
    terms_.agreed.generation = ++generation_;
    tell(true);
    return std::make_shared<PairKeys>(::bpf_map__fd(program_->maps.pairs),
                                      ::bpf_map__fd(program_->maps.words), generation_);
}

void Recognition::look(TimePoint now) {
    if (!in_use())
        return;
    tell(true);
    if (now < due_)
        return;
    due_ = now + pause_between_looks;
    // Another program may have removed our number, or a filter.
    if (!has_set_ || sets_.find_recognised(terms_.agreed.evidence) != 0)
        put_evidence();
    put_filters();
}

void Recognition::interfaces_changed() {
    notices_.discard();
    if (in_use())
        put_filters(Filters::On::new_ones);
}

void Recognition::put_filters(Filters::On on) {
    failed_ = filters_.put({::bpf_program__fd(program_->progs.recognise_ethernet),
                            ::bpf_program__fd(program_->progs.recognise_fabric)},
                           watched_, has_fabric_, on);
}

// Renews or ends the terms. The clock may have been set, so they get its offset anew.
void Recognition::tell(bool alive) {
    if (!program_)
        return;
    const auto since_boot = now(CLOCK_BOOTTIME);
    terms_.agreed.clock = now(CLOCK_REALTIME) - since_boot;
    terms_.agreed.until = alive ? since_boot + alive_for : 0;
    const std::uint32_t first = 0;
    ::bpf_map_update_elem(::bpf_map__fd(program_->maps.terms), &first, &terms_.agreed, BPF_ANY);
}

// A range that stays is never missing meanwhile.
void Recognition::tell_peers(const std::vector<RecognitionTerms::Peers>& peers) {
    const int map = ::bpf_map__fd(program_->maps.peers);
    std::vector<ubf_recognition_address> now;
    now.reserve(peers.size());
    for (const auto& range : peers)
        now.push_back(address_of(range));
    for (const auto& old : peers_)
        if (std::ranges::none_of(now, [&](const auto& address) { return same(address, old); }) &&
            ::bpf_map_delete_elem(map, &old) != 0)
            failed_peers_ = true;
    for (std::size_t i = 0; i < now.size(); ++i) {
        const std::uint32_t proof = peers[i].proof;
        if (::bpf_map_update_elem(map, &now[i], &proof, BPF_ANY) != 0)
            failed_peers_ = true;
    }
    peers_ = std::move(now);
}

std::string Recognition::state() const {
    if (const auto& why_not = lacks_.empty() ? terms_.why_not : lacks_; !why_not.empty())
        return fmt::format("not in use: {}", why_not);
    if (!has_set_)
        return "not in use: the table has no set recognised, or it can't be written into";
    return failed_.empty() ? "in use" : fmt::format("in use, but {}", failed_);
}

std::array<std::uint64_t, UBF_COUNTS> Recognition::counts() const {
    std::array<std::uint64_t, UBF_COUNTS> sums{};
    const int processors = ::libbpf_num_possible_cpus();
    if (!program_ || processors <= 0)
        return sums;
    std::vector<std::uint64_t> each(static_cast<std::size_t>(processors));
    for (std::uint32_t which = 0; which < UBF_COUNTS; ++which)
        if (::bpf_map_lookup_elem(::bpf_map__fd(program_->maps.counts), &which, each.data()) == 0)
            for (const auto number : each)
                sums[which] += number;
    return sums;
}

} // namespace ubf
