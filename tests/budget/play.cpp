#include "play.hpp"

#include "clock.hpp"
#include "config/config.hpp"
#include "counting.hpp"

#include <fmt/format.h>
#include <linux/netfilter.h>
#include <utility>

namespace ubf::budget {
namespace {

// After these rounds, all containers have their size: entries that wait for the deadline expire.
constexpr std::uint32_t warm_up = 256; // rounds
constexpr int patience_ms = 10'000;    // with other threads
constexpr Port first_port = 10'000;    // outside the listeners' ports
constexpr Uid other_user{63002};

Owner other_owner() {
    auto owner = Owner::user(other_user);
    owner.credentials = Credentials{Gid{63002}, {Gid{63002}}, {}, {Pid{32}, "talk"}};
    return owner;
}

} // namespace

Play::Play(const Scenario& scenario, std::vector<RecordedFlow> flows, KeyRing keys, int asker)
  : scenario_(scenario)
  , flows_(std::move(flows))
  , keys_(std::move(keys))
  , asker_(asker) {}

int Play::pass_time() {
    if (!waiting_.empty()) {
        if (std::exchange(looked_, true))
            give_up(fmt::format("no verdict came for {} packets", waiting_.size()));
        return patience_ms;
    }
    looked_ = false;
    // The log's thread must finish the last round before the next begins.
    for (auto lines = log_lines_.load(); lines < denials_; lines = log_lines_.load())
        log_lines_.wait(lines);
    if (verdicts_ == measured) {
        end_counting();
        check();
        if (!std::exchange(is_over_, true))
            over_.set_value();
        return -1;
    }
    if (rounds_++ == warm_up) {
        measuring_ = true;
        begin_counting();
    }
    for (std::size_t i = 0; i < scenario_.batch; ++i)
        begin_connection();
    return 0;
}

void Play::check() const {
    const auto expected = scenario_.peer == Scenario::Peer::answers ? measured : 0;
    if (questions_ != expected)
        give_up(fmt::format("the peer was asked {} questions, not {}", questions_, expected));
    if (log_lines_ != denials_)
        give_up(fmt::format("the log has {} lines of {} denials", log_lines_.load(), denials_));
}

void Play::begin_connection() {
    const auto& flow = flows_[connections_ % flows_.size()];
    const auto port = static_cast<Port>(first_port + connections_ % (UINT16_MAX - first_port));
    const auto id = ++connections_;
    by_port_[port] = &flow;
    waiting_.insert(id);
    Kernel::only().deliver(Kernel::only().queue(), {flow.packet(id, port)});
}

Message Play::find_socket(Bytes request) {
    for (const Port port : RecordedFlow::ports(request))
        if (const auto flow = by_port_.find(port); flow != by_port_.end())
            if (auto answer = flow->second->answer(request, port); !answer.empty())
                return answer;
    give_up("the daemon asked for a socket for which no recorded one did: where its lookups are "
            "others now, make a new recording with tests/budget/record");
}

void Play::take_verdict(std::uint32_t id, std::uint32_t verdict, std::uint32_t mark) {
    if (waiting_.erase(id) == 0)
        give_up(fmt::format("a verdict came for packet {}, which does not wait", id));
    const auto expected = scenario_.denied ? Mark{}.denied() : Mark{}.allow();
    if (verdict != NF_ACCEPT || mark != expected)
        give_up(fmt::format("packet {} got verdict {} and mark {:#x}, not {} and {:#x}", id,
                            verdict, mark, NF_ACCEPT, expected));
    if (measuring_)
        ++verdicts_;
    if (scenario_.denied)
        ++denials_;
}

void Play::take_log_line() {
    ++log_lines_;
    log_lines_.notify_one();
}

// Acts as the peer's ubfd. The first question goes through the lane of unproven peers. The answer
// goes to the asker's own socket.
void Play::take_datagram(int, const ident::Path& path, Bytes bytes) {
    const auto datagram = ident::decode(bytes, path, keys_);
    const auto* questions =
        datagram ? std::get_if<std::vector<ident::Question>>(&datagram->entries) : nullptr;
    if (questions == nullptr)
        give_up("the daemon sent something that is no question");
    std::vector<ident::Answer> answers;
    for (const auto& question : *questions)
        answers.push_back(answer_to(question));
    if (measuring_)
        questions_ += answers.size();
    send(asker_, path.reversed(), {datagram->from, {}, {}, std::move(answers)});
}

ident::Answer Play::answer_to(const ident::Question& question) const {
    if (scenario_.denied)
        return {question.nonce, other_owner()};
    if (!question.same_as)
        give_up("the daemon did not say whose its own end is");
    return {question.nonce, Owner::user(*question.same_as)};
}

void Play::send(int fd, const ident::Path& path, ident::Datagram datagram) {
    datagram.time = std::chrono::duration_cast<ident::Milliseconds>(Time::now());
    std::array<std::uint8_t, ident::max_datagram> buffer;
    const auto count = std::visit([](const auto& entries) { return entries.size(); }, //
                                  datagram.entries);
    for (std::size_t first = 0; first < count;) {
        const auto bytes = ident::encode(buffer, datagram, first, path, keys_.current);
        Kernel::only().deliver(fd, {{bytes.begin(), bytes.end()}, path});
    }
}

} // namespace ubf::budget
