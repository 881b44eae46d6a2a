// The control socket: one JSON object a line, each way. Root's alone, by the socket's mode and by
// the peer's credentials; a client that doesn't read or says too much is hung up on.
#pragma once

#include "base/unique_fd.hpp"
#include "daemon/core/event_loop.hpp"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <unordered_map>

namespace ubf {

class ControlServer {
  public:
    using Json = nlohmann::ordered_json;
    // To be called once, now or later, on the loop's thread.
    using Reply = std::function<void(Json)>;
    using Handler = std::function<void(const Json& request, Reply reply)>;

    // Makes the socket, and its folder where it is missing. Throws std::system_error, and
    // ConfigError for a path that no socket can have.
    ControlServer(EventLoop& loop, std::filesystem::path path, Handler handler);
    ~ControlServer(); // removes the socket

    ControlServer(const ControlServer&) = delete;
    ControlServer& operator=(const ControlServer&) = delete;

  private:
    struct Client {
        UniqueFd fd;
        std::uint64_t number;
        std::string in;
        std::string out;
        TimePoint since;
    };

    void accept();
    void read(int fd);
    void write(int fd);
    void answer(int fd, std::uint64_t number, const Json& reply);
    void hang_up(int fd);
    void make_room();

    static constexpr std::size_t most_clients = 16;
    static constexpr std::size_t most_request = 4096;

    EventLoop& loop_;
    std::filesystem::path path_;
    Handler handler_;
    UniqueFd listener_;
    std::unordered_map<int, Client> clients_;
    std::uint64_t last_number_ = 0;
};

} // namespace ubf
