// A play repeats the recorded connections again and again, and checks the daemon's reactions. Each
// connection must get the right verdict, once, and by the path that is to be measured.
#pragma once

#include "ident/wire.hpp"
#include "kernel.hpp"
#include "recording.hpp"

#include <array>
#include <atomic>
#include <cstdint>
#include <future>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace ubf::budget {

struct Scenario {
    enum class Peer : std::uint8_t {
        none,    // the connection comes from the same node
        answers, // a question
    };

    std::string_view name;
    std::string_view protocol;
    std::size_t batch; // packets that wait at once
    Peer peer = Peer::none;
    bool denied = false; // the peer names another user
};

inline constexpr std::array scenarios{
    Scenario{"same-node", "tcp", 1},
    Scenario{"same-node-batch", "tcp", 64},
    Scenario{"across", "tcp", 1, Scenario::Peer::answers},
    Scenario{"across-batch", "tcp", 64, Scenario::Peer::answers},
    Scenario{"denied", "tcp", 1, Scenario::Peer::answers, true},
    Scenario{"udp", "udp", 1},
};

class Play : public World {
  public:
    static constexpr Port ident_port = 1017;
    static constexpr std::uint64_t measured = 2048; // verdicts; a multiple of every batch

    // flows: the recorded flows of this scenario. asker: the socket that gets ident's answers.
    Play(const Scenario& scenario, std::vector<RecordedFlow> flows, KeyRing keys, int asker);

    // Ready when the play is over without a mistake. After a mistake, the program ends.
    std::future<void> end() { return over_.get_future(); }

    Message find_socket(Bytes request) override;
    void take_verdict(std::uint32_t id, std::uint32_t verdict, std::uint32_t mark) override;
    void take_datagram(int fd, const ident::Path& path, Bytes bytes) override;
    void take_log_line() override;
    int pass_time() override;

  private:
    void begin_connection();
    void send(int fd, const ident::Path& path, ident::Datagram datagram);
    ident::Answer answer_to(const ident::Question& question) const;
    void check() const;

    const Scenario& scenario_;
    const std::vector<RecordedFlow> flows_;
    const KeyRing keys_;
    const int asker_;

    std::unordered_set<std::uint32_t> waiting_; // packets, by id
    std::unordered_map<Port, const RecordedFlow*> by_port_;
    std::uint32_t connections_ = 0;
    std::uint32_t rounds_ = 0;
    bool looked_ = false; // waits once more for another thread
    bool measuring_ = false;
    bool is_over_ = false;
    std::uint64_t verdicts_ = 0;  // measured verdicts
    std::uint64_t questions_ = 0; // measured questions
    std::uint64_t denials_ = 0;
    std::atomic<std::uint64_t> log_lines_{0};
    std::promise<void> over_;
};

} // namespace ubf::budget
