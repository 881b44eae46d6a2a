#include "daemon/recognition/filters.hpp"

#include "netlink/answer.hpp"

#include <array>
#include <bpf/libbpf.h>
#include <cerrno>
#include <cstring>
#include <fmt/format.h>
#include <set>
#include <sys/socket.h>
#include <utility>

#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>

namespace ubf {
namespace {

// Our filter comes late, so that other filters decide first. The kernel gives priorities from
// 0xc000 down by itself (tcf_auto_prio(), net/sched/cls_api.c), so ours is none of these.
constexpr std::uint32_t priority = 0xcfff;
constexpr std::uint32_t handle = 1;

bpf_tc_hook hook_of(std::uint32_t interface, bpf_tc_attach_point point) {
    bpf_tc_hook hook{};
    hook.sz = sizeof hook;
    hook.ifindex = static_cast<int>(interface);
    hook.attach_point = point;
    return hook;
}

bpf_tc_opts options_of(int program, std::uint32_t flags = 0) {
    bpf_tc_opts options{};
    options.sz = sizeof options;
    options.handle = handle;
    options.priority = priority;
    options.prog_fd = program;
    options.flags = flags;
    return options;
}

// 0 or a negative errno; and whether a filter of ours was there, perhaps a predecessor's.
std::pair<int, bool> attach(const bpf_tc_hook& hook, int program) {
    auto options = options_of(program);
    const int error = ::bpf_tc_attach(&hook, &options);
    if (error != -EEXIST)
        return {error, false};
    auto instead = options_of(program, BPF_TC_F_REPLACE);
    return {::bpf_tc_attach(&hook, &instead), true};
}

// Whether there is no filter. False if the kernel doesn't tell.
bool is_empty(std::uint32_t interface, std::uint32_t direction) {
    struct {
        nlmsghdr header;
        tcmsg body;
    } request{};
    request.header.nlmsg_len = sizeof request;
    request.header.nlmsg_type = RTM_GETTFILTER;
    request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    request.header.nlmsg_seq = 1;
    request.body.tcm_ifindex = static_cast<int>(interface);
    request.body.tcm_parent = TC_H_MAKE(TC_H_CLSACT, direction);
    NetlinkSocket socket(NETLINK_ROUTE);
    alignas(nlmsghdr) std::array<std::uint8_t, 32768> buffer;
    if (socket.send({reinterpret_cast<const std::uint8_t*>(&request), sizeof request}) != 0)
        return false;
    const auto there_is_one = [](netlink::Bytes) { return EEXIST; };
    return netlink::receive_dump(socket, request.header.nlmsg_seq, buffer, MSG_DONTWAIT,
                                 there_is_one) == 0;
}

} // namespace

std::string Filters::put(Programs programs, const WatchedInterfaces& watched, bool has_fabric,
                         On on) {
    const auto links = links_.list();
    if (!links)
        return fmt::format("the interfaces could not be listed: {}", std::strerror(links.error()));
    std::string failed;
    std::set<std::uint32_t> wanted;
    for (const auto& link : *links) {
        const bool fabric = has_fabric && link.is_fabric();
        if (link.enslaved || !(fabric || watched.watches(link.name)))
            continue;
        wanted.insert(link.index);
        if (on == On::new_ones && on_.contains(link.index))
            continue;
        auto hook = hook_of(link.index, BPF_TC_INGRESS);
        const int made = ::bpf_tc_hook_create(&hook);
        const int program = fabric ? programs.fabric : programs.ethernet;
        const auto [error, was_there] =
            made != 0 && made != -EEXIST ? std::pair(made, false) : attach(hook, program);
        if (error != 0 && error != -ENODEV) // the interface may be gone by now
            failed = fmt::format("not on {}: {}", link.name, std::strerror(-error));
        if (error == 0)
            on_[link.index] |= made == 0 || was_there;
    }
    for (auto place = on_.begin(); place != on_.end();) {
        if (wanted.contains(place->first)) {
            ++place;
            continue;
        }
        take_off(place->first, place->second);
        place = on_.erase(place);
    }
    return failed;
}

void Filters::remove() {
    for (const auto& [interface, is_our_hook] : on_)
        take_off(interface, is_our_hook);
    on_.clear();
}

void Filters::remove_all() {
    remove();
    if (const auto links = links_.list())
        for (const auto& link : *links)
            take_off(link.index, true);
}

// An interface that is gone has nothing left to take off.
void Filters::take_off(std::uint32_t interface, bool is_our_hook) {
    const auto hook = hook_of(interface, BPF_TC_INGRESS);
    const auto options = options_of(0);
    if (::bpf_tc_detach(&hook, &options) != 0 || !is_our_hook ||
        !is_empty(interface, TC_H_MIN_INGRESS) || !is_empty(interface, TC_H_MIN_EGRESS))
        return;
    auto both =
        hook_of(interface, static_cast<bpf_tc_attach_point>(BPF_TC_INGRESS | BPF_TC_EGRESS));
    ::bpf_tc_hook_destroy(&both);
}

} // namespace ubf
