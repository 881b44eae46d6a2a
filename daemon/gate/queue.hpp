// One netfilter queue (linux/netfilter/nfnetlink_queue.h): packets in, verdicts out.
#pragma once

#include "config/config.hpp"
#include "daemon/core/counters.hpp"
#include "daemon/gate/queue_message.hpp"
#include "netlink/batch.hpp"
#include "netlink/socket.hpp"
#include "policy/verdict.hpp"

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

namespace ubf {

// Takes a packet's verdict.
class VerdictTaker {
  public:
    virtual void verdict(std::uint32_t id, std::uint32_t mark, Reason reason) = 0;

  protected:
    ~VerdictTaker() = default;
};

// A packet that waits in the kernel for its verdict. It gets exactly one: where nobody gave any,
// the destructor denies.
class QueuedPacket {
  public:
    QueuedPacket() = default; // none: nothing to judge
    QueuedPacket(VerdictTaker& queue, std::uint32_t id, std::uint32_t mark)
      : queue_(&queue)
      , id_(id)
      , mark_(mark) {}
    QueuedPacket(QueuedPacket&& other) noexcept;
    QueuedPacket& operator=(QueuedPacket&& other) noexcept;
    ~QueuedPacket();

    void judge(Reason reason);

  private:
    VerdictTaker* queue_ = nullptr; // nullptr: judged
    std::uint32_t id_ = 0;
    std::uint32_t mark_ = 0;
};

// A queued packet as it came in; the bytes are valid until the next one.
struct Arrival {
    QueuedPacket packet;
    std::span<const std::uint8_t> bytes; // from the network header, the copy range at most
    std::uint32_t interface = 0;         // where it came in
    // The gate's notes about the packet.
    bool reply = false;      // it answers a packet of this node's
    bool fabric = false;     // it came over the fabric
    bool translated = false; // by NAT; of the fabric and of answers only `tracked` says so
    std::span<const std::uint8_t>
        tracked{}; // as connection tracking has it (netlink/conntrack.hpp)
};

class Queue final : public VerdictTaker {
  public:
    // Binds the queue, or goes on with the socket that a ubfd before us had bound to it, where that
    // is what `kept` is; see adopted(). Throws QueueError when it can't, and says why.
    Queue(std::uint16_t number, std::uint32_t length, Mark mark, GateCounters& counters,
          UniqueFd kept = {});

    std::uint16_t number() const { return number_; }
    int fd() const { return socket_.fd(); }
    std::uint64_t packets() const { return packets_.read(); }
    // Whether packets that waited for a predecessor wait for us.
    bool adopted() const { return adopted_; }

    // Whether the kernel lets pass what a full queue has no room for. By default it drops that.
    void set_fail_open(bool yes);
    // Calls `each` for what waits, a bounded number of packets.
    void receive(const std::function<void(Arrival)>& each);
    // Sends the verdicts that were given since the last time, all at once.
    void flush();
    bool has_unsent() const { return !verdicts_.empty(); } // flush() could not, and must try again

  private:
    Queue(std::uint16_t number, std::uint32_t length, Mark mark, GateCounters& counters,
          std::optional<NetlinkSocket> adopted);
    void verdict(std::uint32_t id, std::uint32_t mark, Reason reason) override;
    void make_room(std::uint32_t length);
    void bind();
    void configure(std::uint32_t length);
    int transact(std::span<const std::uint8_t> message, std::uint32_t sequence);
    void drop_before(std::uint32_t id);
    void handle(std::span<const std::uint8_t> datagram, const std::function<void(Arrival)>& each);
    void handle_error(int error);

    static constexpr std::size_t batch_size = 64;
    static constexpr std::size_t message_size = 1024; // attributes and the copy range, with room

    NetlinkSocket socket_;
    std::uint16_t number_;
    Mark mark_;
    GateCounters& counters_;
    Counter packets_;
    bool adopted_;
    bool others_cleared_;                // nothing that the ubfd before us had read is left
    std::vector<std::uint8_t> verdicts_; // netlink messages, back to back
    std::vector<QueueMessage> messages_; // kept for its room
    netlink::Batch<batch_size, message_size> batch_;
};

// Says which queue, why, and what to do; the code is an errno.
class QueueError : public std::runtime_error {
  public:
    QueueError(const std::string& what, int code)
      : std::runtime_error(what)
      , code_(code) {}
    int code() const { return code_; }

  private:
    int code_;
};

} // namespace ubf
