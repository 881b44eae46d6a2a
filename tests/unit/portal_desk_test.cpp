// Web portals' questions, on a node that is in memory.
#include "daemon/tickets/portal_desk.hpp"

#include "tests/unit/world.hpp"

#include <gtest/gtest.h>

namespace ubf {
namespace {

using namespace world;
using namespace std::chrono_literals;
using Json = nlohmann::ordered_json;
constexpr Uid www{33};

class PortalDeskTest : public testing::Test {
  protected:
    World node; // 10.77.0.2
    std::vector<Json> replies;
    std::map<std::string, Uid> names{
        {"alice", alice}, {"bob", bob}, {"1002", bob}, {"root", Uid{0}}};
    std::vector<UserCache::Done> slow; // look-ups that have not ended
    bool is_slow = false;
    Portal portal{.users = {www}};
    std::optional<PortalDesk> made;

    PortalDesk& desk() {
        if (!made) {
            node.tickets.set_portals(portal.users);
            made.emplace(PortalDesk::Parts{node.peers, node.peer_table, node.sockets, node.owners,
                                           node.tickets, node.counters.portal, node.reporter},
                         ways(), terms());
        }
        return *made;
    }
    PortalDesk::Ways ways() {
        return {[this](const auto& whom) { return is_slow ? std::nullopt : user_of(whom); },
                [this](const auto& whom, auto done) {
                    if (is_slow) {
                        slow.push_back(done);
                        return true;
                    }
                    done(user_of(whom));
                    return true;
                },
                [](const UserCache::User& found, Uid via, const Process& program) {
                    auto owner = user(found.uid, found.record->groups);
                    owner.via = via;
                    owner.credentials->process = program;
                    return owner;
                },
                [](const Address&) { return std::optional(here); },
                [](const auto& task) { task(); },
                node.time.clock()};
    }
    PortalDesk::Terms terms() const {
        Scope scope;
        scope.ethernet.ports = {{1024, 65535}};
        scope.ethernet.exempt_ports.push_back({.udp = false, .ports = {9100, 9100}});
        return {
            node.rules(), portal, scope, {portal.targets, {*Prefix::parse("10.77.0.0/24")}, {}}};
    }
    std::optional<UserCache::User> user_of(const std::string& whom) const {
        const auto found = names.find(whom);
        if (found == names.end())
            return std::nullopt;
        UserRecord record{"somebody", project, {project}};
        return UserCache::User{found->second, std::make_shared<const UserRecord>(record)};
    }
    Json may(const std::string& user, const std::string& target, Json more = Json::object()) {
        Json question{{"user", user}, {"asker", value(www)}, {"pid", 4711}, {"target", target}};
        question.update(more);
        return {{"may", question}, {"id", 17}};
    }
    // The reason of the only reply.
    std::string ask(const Json& request) {
        replies.clear();
        desk().answer(request, [this](Json reply) { replies.push_back(std::move(reply)); });
        return reason();
    }
    std::string reason() {
        if (replies.size() != 1)
            return "no reply";
        return replies.front().at("reason");
    }
    void listens_here(Uid uid, std::vector<Gid> groups = {}) {
        node.listens(uid);
        node.owners.recorded[uid] = user(uid, std::move(groups));
    }
    // The bearer of a connection that begins now.
    std::optional<Owner> connects(const Endpoint& target, std::uint64_t cookie = 9) {
        SocketOwner socket{Owner::user(www), {Cookie{cookie}, www, 9, TCP_SYN_SENT, 0}};
        node.tickets.identify(socket, {Protocol::tcp, {here, 40000}, target}, Tickets::Use::spend);
        return socket.owner;
    }
    // The reason of the only reply, if there is one by then.
    std::string after(Clock::duration some) {
        node.time.pass(some);
        desk().on_time(node.time.now);
        return reason();
    }
    const std::string own = "10.77.0.2:8888";
    const std::string theirs = "10.77.0.1:8888";
};

TEST_F(PortalDeskTest, the_owner_may_and_the_next_connection_is_theirs_once) {
    listens_here(alice);
    EXPECT_EQ(ask(may("alice", own)), "same-user");
    EXPECT_EQ(replies.front().at("id"), 17);
    EXPECT_EQ(replies.front().at("address"), own);
    const auto owner = connects(node.flow.destination, 9);
    EXPECT_EQ(owner->uid, alice);
    EXPECT_EQ(owner->via, www);
    EXPECT_EQ(connects(node.flow.destination, 9)->uid, alice);            // the same socket
    EXPECT_EQ(connects(*Endpoint::parse("10.77.0.2:8889"), 9)->uid, www); // it connects anew
    EXPECT_EQ(connects(node.flow.destination, 10)->uid, www);
    EXPECT_EQ(node.counters.portal.spent.read(), 1u);
    EXPECT_EQ(node.counters.portal.missing.read(), 2u);
}

TEST_F(PortalDeskTest, a_member_may_if_the_listeners_group_lets_them_in) {
    listens_here(alice, {project});
    EXPECT_EQ(ask(may("1002", own)), "same-group");
}

TEST_F(PortalDeskTest, a_stranger_may_not_and_is_logged) {
    listens_here(alice);
    EXPECT_EQ(ask(may("bob", own)), "different-user");
    EXPECT_EQ(replies.front().at("allowed"), false);
    EXPECT_EQ(replies.front().at("status"), 403);
    EXPECT_EQ(replies.front().dump().find("1001"), std::string::npos); // names nobody else
    ASSERT_EQ(node.reporter.denials.size(), 1u);
    EXPECT_EQ(node.reporter.denials.front().connector.uid, bob);
    EXPECT_EQ(connects(node.flow.destination)->uid, www);
}

TEST_F(PortalDeskTest, nobody_who_listens_is_a_404) {
    EXPECT_EQ(ask(may("alice", own)), "no-listener");
    EXPECT_EQ(replies.front().at("status"), 404);
}

TEST_F(PortalDeskTest, the_node_of_another_address_is_asked_once_for_all_who_wait) {
    EXPECT_EQ(ask(may("alice", theirs)), "no reply");
    desk().answer(may("bob", theirs), [this](Json reply) { replies.push_back(std::move(reply)); });
    ASSERT_EQ(node.peers.questions.size(), 1u);
    const auto flow = node.peers.questions.front().flow;
    EXPECT_EQ(flow.source, *Endpoint::parse(theirs));
    EXPECT_EQ(flow.destination, (Endpoint{here, 0}));
    node.peers.answer(flow, ident::Peers::Heard::uid, Owner::user(alice),
                      node.time.now); // the rest follows
    EXPECT_TRUE(replies.empty());
    node.peers.answer(flow, ident::Peers::Heard::owner, user(alice), node.time.now);
    ASSERT_EQ(replies.size(), 2u);
    EXPECT_EQ(replies[0].at("reason"), "same-user");
    EXPECT_EQ(replies[1].at("reason"), "different-user");
}

TEST_F(PortalDeskTest, a_node_that_says_nothing_is_told_apart_from_nobody) {
    ask(may("alice", theirs));
    const auto flow = node.peers.questions.front().flow;
    node.peers.answer(flow, ident::Peers::Heard::nothing, Owner{}, node.time.now);
    EXPECT_EQ(reason(), "no-answer");
    EXPECT_EQ(replies.front().at("status"), 504);
    EXPECT_EQ(node.reporter.warnings.size(), 1u);
    node.peer_table.heard(there, node.time.now);
    ask(may("alice", theirs)); // an older ubfd
    node.peers.answer(flow, ident::Peers::Heard::owner, Owner{}, node.time.now);
    EXPECT_EQ(reason(), "no-answer");
    EXPECT_EQ(node.reporter.warnings.size(), 2u);
    ask(may("alice", theirs));
    node.peers.answer(flow, ident::Peers::Heard::owner, {OwnerKind::unknown, {}, Credentials{}},
                      node.time.now);
    EXPECT_EQ(reason(), "no-listener");
}

TEST_F(PortalDeskTest, a_node_that_was_silent_a_moment_ago_is_not_waited_for) {
    ask(may("alice", theirs));
    node.peers.answer(node.peers.questions.front().flow, ident::Peers::Heard::nothing, Owner{},
                      node.time.now);
    for (const char* target : {"10.77.0.1:8888", "10.77.0.1:9999"})
        EXPECT_EQ(ask(may("bob", target)), "no-answer") << target;
    EXPECT_EQ(node.peers.questions.size(), 1u);
    EXPECT_EQ(ask(may("bob", "10.77.0.9:8888")), "no reply"); // another node
    node.peer_table.heard(there, node.time.now);              // it speaks
    EXPECT_EQ(ask(may("bob", theirs)), "no reply");
    EXPECT_EQ(node.peers.questions.size(), 3u);
}

TEST_F(PortalDeskTest, an_answer_of_a_moment_ago_allows_and_never_denies) {
    ask(may("alice", theirs));
    const auto flow = node.peers.questions.front().flow;
    node.peers.answer(flow, ident::Peers::Heard::owner, user(alice), node.time.now);
    EXPECT_EQ(ask(may("alice", theirs)), "same-user");
    EXPECT_EQ(node.peers.questions.size(), 1u);
    EXPECT_EQ(ask(may("bob", theirs)), "no reply"); // the port may be bob's by now
    EXPECT_EQ(node.peers.questions.size(), 2u);
    node.peers.answer(flow, ident::Peers::Heard::owner, user(bob), node.time.now);
    EXPECT_EQ(reason(), "same-user");
    EXPECT_EQ(ask(may("alice", theirs)), "no reply");
    node.peers.answer(flow, ident::Peers::Heard::owner, {OwnerKind::unknown, {}, Credentials{}},
                      node.time.now);
    EXPECT_EQ(reason(), "no-listener");
    desk().set_terms(terms()); // a reload forgets
    EXPECT_EQ(ask(may("bob", theirs)), "no reply");
}

// --- as time passes ---

TEST_F(PortalDeskTest, a_question_waits_until_its_deadline_and_no_longer) {
    const auto patience = node.rules()->deadline + 50ms;
    EXPECT_EQ(ask(may("alice", theirs)), "no reply");
    EXPECT_EQ(desk().next(), node.time.now + patience);
    EXPECT_EQ(after(patience - 1ns), "no reply");
    EXPECT_EQ(after(1ns), "no-answer");
}

TEST_F(PortalDeskTest, a_search_for_the_listener_ends_by_the_deadline) {
    node.listens(bob); // whose groups are not known
    is_slow = true;
    EXPECT_EQ(ask(may("alice", own)), "no reply");
    node.time.pass(300ms);
    slow.front()(user_of("alice")); // the search begins only now
    ASSERT_EQ(node.owners.searches.size(), 1u);
    EXPECT_EQ(node.owners.searches.front().deadline, node.time.now + node.rules()->deadline);
    EXPECT_EQ(after(node.rules()->deadline + 50ms - 300ms), "no-answer"); // the question's own
}

TEST_F(PortalDeskTest, a_ticket_expires_to_the_moment) {
    listens_here(alice);
    for (const auto& [wait, spends] :
         {std::pair<Clock::duration, Uid>{portal.ticket - 1ns, alice}, {portal.ticket, www}}) {
        EXPECT_EQ(ask(may("alice", own)), "same-user");
        node.time.pass(wait);
        EXPECT_EQ(connects(node.flow.destination, value(spends))->uid, spends);
    }
    EXPECT_EQ(node.counters.portal.expired.read(), 0u);
    after(0ns);
    EXPECT_EQ(node.counters.portal.expired.read(), 1u);
}

TEST_F(PortalDeskTest, a_silent_node_is_asked_again_after_a_second) {
    ask(may("alice", theirs));
    const auto flow = node.peers.questions.front().flow;
    node.peers.answer(flow, ident::Peers::Heard::nothing, Owner{}, node.time.now);
    node.time.pass(999ms);
    EXPECT_EQ(ask(may("bob", theirs)), "no-answer");
    node.time.pass(1ms);
    EXPECT_EQ(ask(may("bob", theirs)), "no reply");
    EXPECT_EQ(node.peers.questions.size(), 2u);
    EXPECT_EQ(ask(may("bob", "10.77.0.1:9999")), "no-answer"); // its second has begun
}

TEST_F(PortalDeskTest, an_answer_is_remembered_for_a_second) {
    ask(may("alice", theirs));
    const auto flow = node.peers.questions.front().flow;
    node.peers.answer(flow, ident::Peers::Heard::owner, user(alice), node.time.now);
    node.time.pass(1s - 1ns);
    EXPECT_EQ(ask(may("alice", theirs)), "same-user");
    node.time.pass(1ns);
    EXPECT_EQ(ask(may("alice", theirs)), "no reply");
    EXPECT_EQ(node.peers.questions.size(), 2u);
}

TEST_F(PortalDeskTest, a_busy_node_denies_nobody_and_allows_what_the_uid_allows) {
    ask(may("alice", theirs));
    const auto flow = node.peers.questions.front().flow;
    node.peers.answer(flow, ident::Peers::Heard::busy, Owner::user(alice), node.time.now);
    EXPECT_EQ(reason(), "same-user");
    ask(may("bob", theirs));
    node.peers.answer(flow, ident::Peers::Heard::busy, Owner::user(alice), node.time.now);
    EXPECT_EQ(reason(), "busy");
    ask(may("bob", theirs));
    node.peers.answer(flow, ident::Peers::Heard::late, user(alice),
                      node.time.now); // perhaps not all of it
    EXPECT_EQ(reason(), "busy");
    EXPECT_TRUE(node.reporter.denials.empty());
}

TEST_F(PortalDeskTest, what_is_no_target_is_refused_before_anybody_is_asked) {
    for (const char* target :
         {"127.0.0.1:8888", "127.9.9.9:8888", "[::1]:8888", "169.254.169.254:8888", "[fe80::1]:80",
          "224.0.0.1:8888", "255.255.255.255:8888", "0.0.0.0:8888", "[::]:8888", "[ff02::1]:8888",
          "192.0.2.1:8888", "10.77.0.1:22", "10.77.0.1:9100", "10.77.0.1:1023"})
        EXPECT_EQ(ask(may("alice", target)), "not-a-target") << target;
    for (const char* target :
         {"", "node7:8888", "10.77.0.1", "10.77.0.1:", "10.77.0.1:0", "10.77.0.1:65536",
          "10.77.0.1:08888", "10.77.0.1:+1", "10.77.1:8888", "172818433:8888", "0x0a4d0001:8888",
          "010.77.0.1:8888", "[::ffff:10.77.0.1]:8888", "a@10.77.0.1:8888", "10.77.0.1:8888/",
          "10.77.0.1:8888 ", "localhost:8888", "[fe80::1%1]:8888"})
        EXPECT_EQ(ask(may("alice", target)), "malformed") << target;
    EXPECT_TRUE(node.peers.questions.empty());
}

TEST_F(PortalDeskTest, targets_are_within_portal_targets) {
    portal.targets = {*Prefix::parse("10.77.0.9")};
    EXPECT_EQ(ask(may("alice", theirs)), "not-a-target");
    EXPECT_EQ(ask(may("alice", own)), "not-a-target");
    EXPECT_EQ(ask(may("alice", "10.77.0.9:8888")), "no reply"); // asked
}

TEST_F(PortalDeskTest, a_node_that_does_not_run_ubfd_yet_is_no_target) {
    node.policy.unready = {*Prefix::parse("10.77.0.1")};
    EXPECT_EQ(ask(may("alice", theirs)), "not-a-target");
}

TEST_F(PortalDeskTest, nobody_speaks_for_root_for_the_exempt_or_for_a_portal) {
    node.policy.exempt_connectors = {{{bob, bob}, Prefix::parse("10.0.0.1")}};
    for (const char* user : {"root", "0", "bob", "1002", "33", "60000", "nobody-of-that-name", "",
                             "a b", "a\n", "4294967295"})
        EXPECT_EQ(ask(may(user, own)), "no-user") << user;
    EXPECT_EQ(ask(may("alice", own)), "no-listener");
}

TEST_F(PortalDeskTest, only_a_portal_is_answered) {
    EXPECT_EQ(ask(may("alice", own, {{"asker", 34}})), "not-a-portal");
    EXPECT_EQ(ask(may("alice", own, {{"asker", 0}})), "not-a-portal");
    EXPECT_EQ(ask(may("alice", own, {{"asker", -1}})), "malformed");
    EXPECT_EQ(ask(may("alice", own, {{"asker", 4294967296}})), "malformed");
    EXPECT_EQ(ask(may("alice", own, {{"asker", "33"}})), "malformed");
}

TEST_F(PortalDeskTest, other_questions_are_malformed) {
    for (const auto& request :
         {Json::object(), Json{{"may", 1}, {"id", 1}}, Json{{"may", Json::object()}, {"id", 1}},
          Json{{"may", may("alice", own)["may"]}}, Json{{"id", 1}}})
        EXPECT_EQ(ask(request), "malformed") << request;
    EXPECT_EQ(ask(may("alice", own, {{"user", 5}})), "no-user");
    EXPECT_EQ(ask(may("alice", own, {{"target", Json::array()}})), "malformed");
}

TEST_F(PortalDeskTest, a_source_is_one_of_the_ports_that_the_site_lists) {
    EXPECT_EQ(ask(may("alice", own, {{"source", "10.77.0.2:40000"}})), "malformed");
    made.reset();
    portal.source_ports = {40000};
    listens_here(alice);
    EXPECT_EQ(ask(may("alice", own, {{"source", "10.77.0.2:40001"}})), "malformed");
    EXPECT_EQ(ask(may("alice", own, {{"source", "10.77.0.2:40000"}})), "same-user");
    EXPECT_EQ(connects(node.flow.destination)->uid, alice);
}

TEST_F(PortalDeskTest, of_too_many_questions_the_newest_is_refused) {
    is_slow = true;
    const auto ask_for = [this](std::uint32_t uid) {
        desk().answer(may(std::to_string(uid), own),
                      [this](Json reply) { replies.push_back(reply); });
    };
    for (std::uint32_t i = 0; i < PortalDesk::most_open; ++i)
        ask_for(i < 8 ? value(alice) : 2000 + i);
    EXPECT_TRUE(replies.empty());
    EXPECT_EQ(ask(may("1001", own)), "busy");
    EXPECT_EQ(replies.front().at("status"), 503);
    replies.clear();
    slow.front()(user_of("alice"));
    EXPECT_EQ(reason(), "no-listener");
    replies.clear();
    desk().on_time(node.time.now + std::chrono::seconds(1)); // the user database hangs
    EXPECT_EQ(replies.size(), PortalDesk::most_open - 1);
    EXPECT_EQ(replies.front().at("reason"), "busy");
    slow.back()(user_of("alice")); // too late
    EXPECT_EQ(replies.size(), PortalDesk::most_open - 1);
}

TEST_F(PortalDeskTest, nobodys_questions_hold_up_those_of_others) {
    is_slow = true;
    for (std::size_t i = 0; i < PortalDesk::most_open_of_one; ++i)
        ASSERT_EQ(ask(may("alice", own)), "no reply");
    EXPECT_EQ(ask(may("alice", own)), "busy");
    EXPECT_EQ(ask(may("bob", own)), "no reply");
    slow.front()(user_of("alice")); // answered, which makes room
    EXPECT_EQ(ask(may("alice", own)), "no reply");
}

TEST_F(PortalDeskTest, labels_that_differ_are_kept_apart) {
    node.policy.require_label = true;
    listens_here(alice);
    node.owners.recorded[alice].credentials->labels = {{LabelOrigin::map, "chem"}};
    EXPECT_EQ(ask(may("alice", own)), "label-required");
}

TEST_F(PortalDeskTest, a_node_that_only_observes_refuses_nobody) {
    node.observed.all = true;
    listens_here(alice);
    EXPECT_EQ(ask(may("bob", own)), "observed");
    EXPECT_EQ(replies.front().at("allowed"), true);
    ASSERT_EQ(node.reporter.denials.size(), 1u);
    EXPECT_TRUE(node.reporter.denials.front().observed);
}

TEST_F(PortalDeskTest, a_socket_that_does_not_begin_to_connect_spends_no_ticket) {
    listens_here(alice);
    ask(may("alice", own));
    SocketOwner older{Owner::user(www), {Cookie{5}, www, 9, TCP_ESTABLISHED, 0}};
    node.tickets.identify(older, {Protocol::tcp, {here, 39000}, node.flow.destination},
                          Tickets::Use::spend);
    EXPECT_EQ(older.owner.uid, www);
    EXPECT_EQ(connects(node.flow.destination)->uid, alice);
}

} // namespace
} // namespace ubf
