// The gate's procedure in a world in memory, for tests.
#pragma once

#include "daemon/core/mailbox.hpp"
#include "daemon/gate/judge.hpp"
#include "tests/unit/world.hpp"

#include <algorithm>
#include <gtest/gtest.h>
#include <optional>
#include <vector>

namespace ubf::world {

class Judging : public testing::Test, public World {
  protected:
    using Reasons = std::vector<Reason>;

    Mailbox mailbox;
    std::optional<Judge> judge;

    void begin() { judge.emplace(peers, rules(), sockets, verdicts, shared(), mailbox); }
    void arrive(const std::vector<std::uint8_t>& bytes, std::uint32_t interface = ethernet) {
        Arrival arrival;
        arrival.packet = QueuedPacket(queue, 1, 0);
        arrival.bytes = bytes;
        arrival.interface = interface;
        judge->arrive(std::move(arrival), time.now);
        judge->begin_arrived(time.now);
        settle();
    }
    void arrive(const Flow& arriving, std::uint32_t interface = ethernet) {
        arrive(packet(arriving), interface);
    }
    void arrive() { arrive(flow); }
    void hear(ident::Peers::Heard heard, const Owner& owner) {
        peers.answer(flow, heard, owner, time.now);
        settle();
    }
    void settle() {
        judge->write(time.now);
        judge->confirm(time.now);
    }
    void found(const Owner& owner) {
        const auto search = std::ranges::find(owners.searches, owner.uid, &FakeOwners::Search::uid);
        ASSERT_NE(search, owners.searches.end());
        search->done(owner, true);
        mailbox.run();
        settle();
    }
};

} // namespace ubf::world
