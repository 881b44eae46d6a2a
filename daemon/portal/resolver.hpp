// Looks names up on threads of its own, since a name server or a file system may hang.
#pragma once

#include "base/guarded.hpp"
#include "daemon/core/mailbox.hpp"
#include "portal/forward.hpp"

#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <thread>
#include <vector>

namespace ubf::portal {

// The file of this name in the directory, which users share. Waits for the file system.
Result<Place, Refusal> read_forward(const std::string& directory, const std::string& name);
// The addresses of a host, without those that come twice; empty if it has none. Waits for NSS.
std::vector<Address> addresses_of(const std::string& name);

// Work for a few threads, and its results in a mailbox. At most 256 tasks wait, and at most 8 of
// one person; those beyond are refused. Half of the threads is left to others, so that a person's
// names that hang hold up nobody else's.
class Resolver {
  public:
    using Task = std::function<Mailbox::Task()>; // returns what the mailbox's owner then does

    // Throws std::system_error.
    explicit Resolver(Mailbox& mailbox);
    ~Resolver(); // waits for tasks that run
    Resolver(const Resolver&) = delete;
    Resolver& operator=(const Resolver&) = delete;

    // False if it was refused. person: who it is for.
    bool begin(const std::string& person, Task task);

  private:
    static constexpr std::size_t threads = 4;
    static constexpr std::size_t most = 256;
    static constexpr std::size_t most_of_one = 8;
    static constexpr std::size_t most_running_of_one = threads / 2;

    struct Number { // of a person's tasks
        std::size_t all = 0;
        std::size_t running = 0;
    };
    struct Work {
        std::deque<std::pair<std::string, Task>> tasks;
        std::map<std::string, Number> numbers;
        bool stopping = false;

        std::deque<std::pair<std::string, Task>>::iterator next(); // the end: none may run now
    };

    void run();

    Mailbox& mailbox_;
    Guarded<Work> work_;
    std::condition_variable news_;
    std::vector<std::thread> threads_;
};

} // namespace ubf::portal
