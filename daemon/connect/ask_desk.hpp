// The socket at which portals ask for the socket of a person and a target. Each way goes a JSON
// object a line; a connection has one question at a time.
//
//     -> {"user": "alice", "target": "node7:8888"}
//     <- {"path": "/run/ubf/connect/1001/10.0.0.7_8888"}
//     <- {"error": "the user database knows no such user"}
#pragma once

#include "base/lines.hpp"
#include "daemon/connect/broker.hpp"
#include "daemon/core/mailbox.hpp"
#include "daemon/portal/listener.hpp"
#include "daemon/portal/resolver.hpp"

#include <cstdint>
#include <filesystem>
#include <string>
#include <unordered_map>

namespace ubf::connect {

class AskDesk {
  public:
    // The longest idle gives way to another of the same user.
    static constexpr portal::Clients::Limits limits{64, 256};
    static constexpr std::size_t most_in_line = 1024;

    // Throws std::system_error or std::runtime_error.
    AskDesk(EventLoop& loop, Mailbox& mailbox, Broker& broker, const std::filesystem::path& socket);

    bool is_in_place() const { return listener_.is_in_place(); }

  private:
    struct Asker {
        UniqueFd socket;
        Lines lines{};
        bool waits = false; // for an answer
    };
    struct Found {
        std::optional<Uid> user;
        std::vector<Address> addresses;
    };

    void accept();
    void read(std::uint64_t id);
    void take_lines(std::uint64_t id);
    // Nothing if the answer comes later.
    std::string answer(std::uint64_t id, const std::string& line);
    std::string look_up(std::uint64_t id, const std::string& user, const portal::Place& place);
    std::string open(const Found& found, Port port);
    void send(std::uint64_t id, const std::string& text);
    bool make_room(Uid newcomer);
    void close(std::uint64_t id);

    EventLoop& loop_;
    Broker& broker_;
    portal::Listener listener_;
    portal::Clients clients_{limits}; // the same, by descriptor
    std::unordered_map<std::uint64_t, Asker> askers_;
    std::uint64_t last_ = 0;
    portal::Resolver resolver_;
};

} // namespace ubf::connect
