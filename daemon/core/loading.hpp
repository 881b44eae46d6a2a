// A thread of its own reads the configuration, for it names users, groups and hosts. A directory or
// a name server that is down takes half a minute or more for each. Nobody waits with that thread.
#pragma once

#include "base/result.hpp"
#include "config/config.hpp"
#include "daemon/core/event_loop.hpp"
#include "daemon/core/mailbox.hpp"

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace ubf {

// For the start. Throws ConfigError. If the names are not known in time, all of them are unknown,
// and asked for later.
Config load_to_start(const std::filesystem::path& file);

// For reloads: the main thread's.
class Loading {
  public:
    using Loaded = Result<Config, std::string>;
    // Takes the configuration up. Nothing, or what is wrong.
    using Take = std::function<std::optional<std::string>(Loaded)>;
    using Reply = std::function<void(const std::optional<std::string>& mistake)>;

    Loading(EventLoop& loop, std::filesystem::path file, Take take, Names names = Names::look_up);

    // Reads the file, and replies once it is taken up. While it is read already, it is read again:
    // it may be another by now.
    void begin(Reply reply);

  private:
    void read();
    void end(Loaded loaded);

    const std::filesystem::path file_;
    const Take take_;
    const Names names_;
    std::shared_ptr<Mailbox> mail_ = std::make_shared<Mailbox>(); // the thread may outlive us
    std::vector<Reply> replies_;
    bool under_way_ = false;
    bool again_ = false;
};

} // namespace ubf
