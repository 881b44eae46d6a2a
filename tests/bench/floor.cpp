// floor CONFIG: the minimal cost of an NFQUEUE firewall. It installs ubfd's ruleset for this
// configuration, and accepts every packet without reading it. Prints "ready" when it runs. SIGTERM
// removes the ruleset.
#include "config/config.hpp"
#include "nft/installer.hpp"
#include "nft/probe.hpp"
#include "nft/ruleset.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <cerrno>
#include <csignal>
#include <iostream>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <memory>
#include <string>
#include <sys/socket.h>
#include <system_error>
#include <thread>
#include <unistd.h>

namespace {

struct CloseSocket {
    void operator()(mnl_socket* socket) const { mnl_socket_close(socket); }
};
using Socket = std::unique_ptr<mnl_socket, CloseSocket>;
using Buffer = std::array<char, 4096>;

constexpr std::uint32_t copy_range = 192;     // the same as ubfd's
constexpr int receive_buffer = 64 << 20;      // bytes
constexpr std::uint32_t most_in_a_batch = 64; // packets

void check(bool good, const char* what) {
    if (!good)
        throw std::system_error(errno, std::generic_category(), what);
}

nlmsghdr* begin_message(Buffer& buffer, std::uint16_t type, std::uint16_t queue) {
    auto* header = mnl_nlmsg_put_header(buffer.data());
    header->nlmsg_type = static_cast<std::uint16_t>(NFNL_SUBSYS_QUEUE << 8 | type);
    header->nlmsg_flags = NLM_F_REQUEST;
    auto* nfgen = static_cast<nfgenmsg*>(mnl_nlmsg_put_extra_header(header, sizeof(nfgenmsg)));
    nfgen->nfgen_family = AF_UNSPEC;
    nfgen->version = NFNETLINK_V0;
    nfgen->res_id = htons(queue);
    return header;
}

void send(const Socket& socket, const nlmsghdr* header, const char* what) {
    check(mnl_socket_sendto(socket.get(), header, header->nlmsg_len) >= 0, what);
}

// Throws if the kernel refuses.
void configure(const Socket& socket, Buffer& buffer, nlmsghdr* header) {
    header->nlmsg_flags |= NLM_F_ACK;
    send(socket, header, "configuring the queue");
    const auto length = mnl_socket_recvfrom(socket.get(), buffer.data(), buffer.size());
    check(length > 0 && mnl_cb_run(buffer.data(), static_cast<std::size_t>(length), 0,
                                   mnl_socket_get_portid(socket.get()), nullptr, nullptr) >= 0,
          "configuring the queue");
}

Socket open_queue(std::uint16_t number, std::uint32_t length) {
    Socket socket(mnl_socket_open(NETLINK_NETFILTER));
    check(socket && mnl_socket_bind(socket.get(), 0, MNL_SOCKET_AUTOPID) == 0, "netlink socket");
    const int on = 1;
    mnl_socket_setsockopt(socket.get(), NETLINK_NO_ENOBUFS, const_cast<int*>(&on), sizeof on);
    ::setsockopt(mnl_socket_get_fd(socket.get()), SOL_SOCKET, SO_RCVBUFFORCE, &receive_buffer,
                 sizeof receive_buffer);

    Buffer buffer{};
    auto* bind = begin_message(buffer, NFQNL_MSG_CONFIG, number);
    nfqnl_msg_config_cmd command{};
    command.command = NFQNL_CFG_CMD_BIND;
    mnl_attr_put(bind, NFQA_CFG_CMD, sizeof command, &command);
    configure(socket, buffer, bind);

    auto* parameters = begin_message(buffer, NFQNL_MSG_CONFIG, number);
    nfqnl_msg_config_params copy{};
    copy.copy_range = htonl(copy_range);
    copy.copy_mode = NFQNL_COPY_PACKET;
    mnl_attr_put(parameters, NFQA_CFG_PARAMS, sizeof copy, &copy);
    mnl_attr_put_u32(parameters, NFQA_CFG_QUEUE_MAXLEN, htonl(length));
    mnl_attr_put_u32(parameters, NFQA_CFG_FLAGS, htonl(NFQA_CFG_F_GSO));
    mnl_attr_put_u32(parameters, NFQA_CFG_MASK, htonl(NFQA_CFG_F_GSO));
    configure(socket, buffer, parameters);
    return socket;
}

int take_id(const nlattr* attribute, void* data) {
    if (mnl_attr_get_type(attribute) == NFQA_PACKET_HDR)
        *static_cast<std::uint32_t*>(data) = ntohl(
            static_cast<const nfqnl_msg_packet_hdr*>(mnl_attr_get_payload(attribute))->packet_id);
    return MNL_CB_OK;
}

int take_packet(const nlmsghdr* header, void* data) {
    return mnl_attr_parse(header, sizeof(nfgenmsg), take_id, data);
}

// One verdict for all packets up to the newest: the kernel's cheapest way.
void accept_up_to(const Socket& socket, std::uint16_t queue, std::uint32_t newest,
                  std::uint32_t mark) {
    Buffer buffer{};
    auto* message = begin_message(buffer, NFQNL_MSG_VERDICT_BATCH, queue);
    nfqnl_msg_verdict_hdr verdict{};
    verdict.verdict = htonl(NF_ACCEPT);
    verdict.id = htonl(newest);
    mnl_attr_put(message, NFQA_VERDICT_HDR, sizeof verdict, &verdict);
    mnl_attr_put_u32(message, NFQA_MARK, htonl(mark));
    send(socket, message, "verdict");
}

[[noreturn]] void serve(const Socket& socket, std::uint16_t queue, std::uint32_t mark) {
    Buffer buffer{};
    const int fd = mnl_socket_get_fd(socket.get());
    while (true) {
        std::uint32_t newest = 0;
        int flags = 0; // the first recv() waits
        for (std::uint32_t packets = 0; packets < most_in_a_batch; ++packets) {
            const auto length = ::recv(fd, buffer.data(), buffer.size(), flags);
            if (length < 0)
                break;
            flags = MSG_DONTWAIT;
            mnl_cb_run(buffer.data(), static_cast<std::size_t>(length), 0, 0, take_packet, &newest);
        }
        if (newest != 0)
            accept_up_to(socket, queue, newest, mark);
    }
}

int run(const std::string& file) {
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);

    const auto config = ubf::load_config(file);
    ubf::nft::Installer installer;
    const auto environment = ubf::nft::probe(config, installer);
    for (unsigned i = 0; i < environment.queue_count; ++i) {
        const auto number = static_cast<std::uint16_t>(config.queue.first + i);
        std::thread([socket = open_queue(number, config.queue.length), number,
                     mark = config.mark.allow()] {
            serve(socket, number, mark);
        }).detach();
    }
    installer.install(ubf::nft::make_ruleset(config, environment));
    std::cout << "ready" << std::endl;

    int signal = 0;
    ::sigwait(&signals, &signal);
    installer.remove();
    ::_exit(0); // the threads still wait for packets
}

} // namespace

int main(int argc, char** argv) {
    if (argc != 2) {
        std::cerr << "floor CONFIG\n";
        return 2;
    }
    try {
        return run(argv[1]);
    } catch (const std::exception& error) {
        std::cerr << "floor: " << error.what() << '\n';
        return 1;
    }
}
