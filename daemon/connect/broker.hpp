// A Unix socket for each person and target. It leads to the target, over a connection that belongs
// to the person, as the kernel sees it. Knows no HTTP.
#pragma once

#include "daemon/connect/place.hpp"
#include "daemon/connect/relay.hpp"
#include "daemon/connect/settings.hpp"
#include "daemon/core/event_loop.hpp"
#include "daemon/core/plain_log.hpp"
#include "daemon/portal/listener.hpp"

#include <cstdint>
#include <filesystem>
#include <list>
#include <map>
#include <memory>
#include <string>

namespace ubf::connect {

class Broker {
  public:
    static constexpr std::size_t most_places = 4096; // the longest unused one gives way
    static constexpr std::size_t most_relays = 4096;
    static constexpr std::size_t most_of_one = 512; // relays of one person

    // Takes over the sockets that a predecessor left in the folder. Throws std::system_error.
    Broker(EventLoop& loop, std::filesystem::path folder, Settings settings);

    void change(Settings settings);
    const Settings& settings() const { return settings_; }
    // The path of its socket, which is there now. Throws std::system_error or std::runtime_error.
    std::string open(const Place& place);
    void go_on(TimePoint now);
    std::string summary() const;

  private:
    struct Door {
        std::unique_ptr<portal::Listener> listener;
        TimePoint used;
    };
    struct Passage {
        Uid user;
        TimePoint begun;
        std::unique_ptr<Relay> relay;
    };

    void adopt();
    void add(const Place& place);
    void remove(const Place& place);
    void accept(const Place& place);
    bool begin(const Place& place, UniqueFd portal);

    EventLoop& loop_;
    const std::filesystem::path folder_;
    Settings settings_;
    PlainLog log_{"ubf-connect"};
    std::map<Place, Door> doors_;
    std::list<Passage> passages_;
    std::map<Uid, std::size_t> numbers_; // of passages
    bool any_over_ = false;              // of the passages
    TimePoint next_look_{};
    std::uint64_t begun_ = 0;
    std::uint64_t refused_ = 0;
};

} // namespace ubf::connect
