// Finds the answer to each question: the address of a name, and ubfd's verdict about it. ubfd
// decides all that depends on users and policy.
#pragma once

#include "base/lately.hpp"
#include "config/portal_targets.hpp"
#include "daemon/core/line_link.hpp"
#include "daemon/core/mailbox.hpp"
#include "daemon/core/plain_log.hpp"
#include "daemon/portal/clients.hpp"
#include "daemon/portal/resolver.hpp"
#include "portal/question.hpp"
#include "portal/wire.hpp"

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace ubf::portal {

// As far as [portal] concerns names.
struct Terms {
    std::vector<std::string> domains;
    PortalTargets targets; // all addresses of a name are among them
    std::string forward;   // the directory of forward files; empty: there are none
    std::vector<Port> source_ports;
};

struct Tally {
    std::uint64_t asked = 0;
    std::uint64_t allowed = 0;
    std::uint64_t refused = 0;
    std::uint64_t unanswered = 0;
};

class Desk {
  public:
    using Id = std::uint64_t;
    using Answered = std::function<void(Id, const Result<Grant, Refusal>&)>;

    // socket: of ubfd. answered: gets one answer to each question, within the deadline.
    Desk(EventLoop& loop, Mailbox& mailbox, std::filesystem::path socket, Terms terms,
         Answered answered);

    void ask(Id id, const Question& question, Peer asker);
    void change(Terms terms) { terms_ = std::move(terms); }
    // After each round of the event loop. Returns when it wants the next.
    TimePoint go_on(TimePoint now);
    const Tally& tally() const { return tally_; }
    bool is_up() const { return link_.is_up(); }

  private:
    static constexpr std::chrono::seconds deadline{1};
    static constexpr std::size_t most_of_one = 64; // person: silent nodes hold up nobody else

    struct Case {
        Question question;
        Peer asker;
        TimePoint until;
    };

    void go_to(Id id, const Place& place);
    void look_up(Id id, const Host& host);
    void found(Id id, const Host& host, std::vector<Address> addresses);
    void read(Id id, const Forward& forward);
    void ask_ubfd(Id id, const Endpoint& target);
    std::optional<Endpoint> source_to(const Endpoint& target);
    void begin(Id id, Resolver::Task task);
    void heard(const std::string& line);
    void lost(const std::string& why);
    bool connect();
    void close(Id id, const Result<Grant, Refusal>& answer);

    Terms terms_;
    Answered answered_;
    PlainLog log_{"ubf-portal"};
    std::map<Id, Case> cases_;                    // ids grow with time, so the first is due first
    std::map<std::string, std::size_t> cases_of_; // their number, by person
    Lately<std::string, std::vector<Address>> names_;
    Tally tally_;
    bool away_ = false;           // ubfd is
    std::size_t next_source_ = 0; // of the terms' ports
    LineLink link_;
    Resolver resolver_;
};

} // namespace ubf::portal
