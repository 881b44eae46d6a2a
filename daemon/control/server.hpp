// A socket on this node for requests: one JSON object a line, each way. It is root's alone, by its
// mode and by the peer's credentials; or root's and ubf-portal's, by its access list and the
// credentials; or everybody's. Then each user may have a few clients and a few requests a second. A
// client that doesn't read or says too much is hung up on.
#pragma once

#include "base/lines.hpp"
#include "base/types.hpp"
#include "base/unique_fd.hpp"
#include "daemon/core/event_loop.hpp"
#include "daemon/core/rate.hpp"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <unordered_map>

namespace ubf {

class ControlServer {
  public:
    using Json = nlohmann::ordered_json;
    // To be called once, now or later, on the loop's thread.
    using Reply = std::function<void(Json)>;
    using Handler = std::function<void(const Json& request, Uid asker, Reply reply)>;
    enum class For : std::uint8_t { root, portal, everybody };

    // Makes the socket, and its folder where it is missing. Throws std::system_error.
    ControlServer(EventLoop& loop, std::filesystem::path path, For whom, Handler handler);
    ~ControlServer(); // removes the socket

    ControlServer(const ControlServer&) = delete;
    ControlServer& operator=(const ControlServer&) = delete;

  private:
    struct Client {
        UniqueFd fd;
        std::uint64_t number;
        Lines in;
        std::string out;
        TimePoint since; // it came, or asked last
        Uid uid;         // whose it is
    };

    void accept();
    void read(int fd);
    bool is_there(int fd, std::uint64_t number) const;
    void go_on(int fd, std::uint64_t number);
    void watch(int fd);
    void handle_line(int fd, std::uint64_t number);
    bool send(int fd);
    void answer(int fd, std::uint64_t number, const Json& reply);
    void hang_up(int fd);
    void make_room(Uid newcomer);
    bool is_too_fast(Uid uid);
    bool is_trusted(Uid uid) const;

    static constexpr std::size_t most_clients = 64;
    static constexpr std::size_t most_of_one = 16; // of root; of another user a quarter
    static constexpr unsigned most_a_second = 10;  // requests of one user
    static constexpr std::size_t most_request = 4096;
    static constexpr std::size_t most_of_trusted = std::size_t{2} << 20; // ubf-rdmad's reports

    EventLoop& loop_;
    std::filesystem::path path_;
    const For whom_;
    const std::optional<Uid> portal_; // as whom ubf-portal runs
    Handler handler_;
    UniqueFd listener_;
    std::unordered_map<int, Client> clients_;
    std::unordered_map<Uid, Rate> rates_; // of requests, on a socket that is everybody's
    std::uint64_t last_number_ = 0;
};

} // namespace ubf
