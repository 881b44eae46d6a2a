#include "recording.hpp"

#include "base/text.hpp"
#include "flow/packet.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <cstddef>
#include <cstring>
#include <fmt/format.h>
#include <fstream>
#include <linux/inet_diag.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <stdexcept>

namespace ubf::budget {
namespace {

// The offsets of the socket's id in a request and in its answer.
constexpr std::size_t asked_id_at = sizeof(nlmsghdr) + offsetof(inet_diag_req_v2, id);
constexpr std::size_t answered_id_at = sizeof(nlmsghdr) + offsetof(inet_diag_msg, id);

template<typename T>
void write(Message& message, std::size_t at, T value) {
    if (at + sizeof value > message.size())
        throw std::runtime_error("a recorded message is too short");
    std::memcpy(message.data() + at, &value, sizeof value);
}

// Replaces the port at either end.
void replace_port(Message& message, std::size_t id_at, Port old, Port by) {
    if (message.size() < id_at + sizeof(inet_diag_sockid))
        return; // an error message has no id
    inet_diag_sockid id{};
    std::memcpy(&id, &message[id_at], sizeof id);
    for (auto* port : {&id.idiag_sport, &id.idiag_dport})
        if (*port == htons(old))
            *port = htons(by);
    write(message, id_at, id);
}

Message from_hex(std::string_view text) {
    Message bytes;
    for (; !text.empty(); text.remove_prefix(std::min<std::size_t>(2, text.size()))) {
        const auto byte = number<std::uint8_t>(text.substr(0, 2), 16);
        if (!byte)
            throw std::runtime_error("a recorded message is not in hexadecimal digits");
        bytes.push_back(*byte);
    }
    return bytes;
}

} // namespace

RecordedFlow::RecordedFlow(std::string kind, Message packet)
  : kind_(std::move(kind))
  , packet_(std::move(packet)) {
    Bytes rest(packet_);
    const auto* header = netlink::next_message(rest);
    if (header == nullptr)
        throw std::runtime_error("a recorded packet is no netlink message");
    std::optional<Packet> parsed;
    auto attributes = netlink::payload(header, sizeof(nfgenmsg));
    while (const auto* attribute = netlink::next_attribute(attributes)) {
        const auto bytes = netlink::payload(attribute);
        const auto at = static_cast<std::size_t>(bytes.data() - packet_.data());
        if (attribute->nla_type == NFQA_PACKET_HDR) {
            id_at_ = at + offsetof(nfqnl_msg_packet_hdr, packet_id);
        } else if (attribute->nla_type == NFQA_PAYLOAD) {
            parsed = parse_packet(bytes);
            port_at_ = at + (bytes[0] >> 4 == 4 ? (bytes[0] & 0x0fu) * 4u : 40u);
        }
    }
    if (!parsed || id_at_ == 0)
        throw std::runtime_error("a recorded packet can't be read");
    port_ = parsed->flow.source.port;
}

void RecordedFlow::add(Message asked, Message answered) {
    answers_.emplace_back(std::move(asked), std::move(answered));
}

Message RecordedFlow::packet(std::uint32_t id, Port from) const {
    auto packet = packet_;
    write(packet, id_at_, htonl(id));
    write(packet, port_at_, htons(from));
    return packet;
}

Message RecordedFlow::answer(Bytes request, Port from) const {
    Message asked(request.begin(), request.end());
    const auto sequence = reinterpret_cast<const nlmsghdr*>(request.data())->nlmsg_seq;
    write(asked, offsetof(nlmsghdr, nlmsg_seq), std::uint32_t{0});
    replace_port(asked, asked_id_at, from, port_);
    const auto found = std::ranges::find(answers_, asked, &std::pair<Message, Message>::first);
    if (found == answers_.end())
        return {};
    auto answer = found->second;
    write(answer, offsetof(nlmsghdr, nlmsg_seq), sequence);
    replace_port(answer, answered_id_at, port_, from);
    return answer;
}

std::array<Port, 2> RecordedFlow::ports(Bytes request) {
    inet_diag_sockid id{};
    std::memcpy(&id, request.subspan(asked_id_at, sizeof id).data(), sizeof id);
    return {ntohs(id.idiag_sport), ntohs(id.idiag_dport)};
}

std::vector<RecordedFlow> read_recording(const std::filesystem::path& file) {
    std::ifstream lines(file);
    std::vector<RecordedFlow> flows;
    std::string kind;
    Message asked;
    std::string line;
    while (std::getline(lines, line)) {
        const auto space = line.find(' ');
        const auto what = line.substr(0, space);
        const auto rest = space == std::string::npos ? std::string() : line.substr(space + 1);
        if (what == "flow")
            kind = rest;
        else if (what == "packet")
            flows.emplace_back(kind, from_hex(rest));
        else if (what == "asked")
            asked = from_hex(rest);
        else if (what == "answered" && !flows.empty())
            flows.back().add(asked, from_hex(rest));
        else if (what != "#")
            throw std::runtime_error(fmt::format("{}: what is '{}'?", file.string(), what));
    }
    if (flows.empty())
        throw std::runtime_error(fmt::format("{} has no flows", file.string()));
    return flows;
}

} // namespace ubf::budget
