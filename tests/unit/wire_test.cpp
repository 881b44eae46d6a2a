#include "ident/wire.hpp"

#include <gtest/gtest.h>
#include <random>
#include <sodium.h>

namespace ubf::ident {
namespace {

const Path path{*Endpoint::parse("10.0.0.2:1017"), *Endpoint::parse("10.0.0.1:1017")};
const Flow flow{Protocol::tcp, *Endpoint::parse("10.0.0.1:40000"),
                *Endpoint::parse("10.0.0.2:8888")};

struct Wire : testing::Test {
    KeyRing keys{Key::random(), std::nullopt};
    std::array<std::uint8_t, max_datagram> buffer{};

    std::vector<std::uint8_t> encode_one(Entries entries, const Key& key) {
        std::size_t first = 0;
        const Datagram datagram{Channel::service, Channel{3}, Milliseconds(1234567),
                                std::move(entries)};
        const auto bytes = encode(buffer, datagram, first, path, key);
        return {bytes.begin(), bytes.end()};
    }
    std::vector<std::uint8_t> question() {
        return encode_one(std::vector<Question>{{Nonce{7}, Role::listener, flow, Uid{2001}}},
                          keys.current);
    }
    // Gives the message a MAC of its own, as an attacker with the key could.
    std::vector<std::uint8_t> sign(std::vector<std::uint8_t> bytes) {
        const auto message = std::span(bytes).first(bytes.size() - 16);
        std::array<std::uint8_t, 36> ends{};
        std::ranges::copy(path.from.address.bytes(), ends.begin());
        std::ranges::copy(path.to.address.bytes(), ends.begin() + 16);
        ends[32] = ends[34] = 1017 >> 8;
        ends[33] = ends[35] = 1017 & 0xff;
        crypto_generichash_state state;
        crypto_generichash_init(&state, keys.current.bytes().data(), Key::size, 16);
        crypto_generichash_update(&state, ends.data(), ends.size());
        crypto_generichash_update(&state, message.data(), message.size());
        crypto_generichash_final(&state, bytes.data() + message.size(), 16);
        return bytes;
    }
    Answer answer() {
        auto owner = Owner::user(Uid{2001});
        owner.credentials = Credentials{Gid{5},
                                        {Gid{6}, Gid{7}},
                                        {{LabelOrigin::slurm, "chem"}},
                                        {Pid{99}, "python3", 42},
                                        Method::uid_processes,
                                        true,
                                        Uid{1001}};
        owner.via = Uid{33};
        return {Nonce{8}, owner};
    }
};

TEST_F(Wire, a_refusal_comes_out_as_it_went_in) {
    Refused refused{Nonce{9}, flow, Reason::different_user};
    refused.observed = true;
    refused.connector = Uid{2002};
    refused.program = {Pid{99}, "python3", 42};
    refused.common = {Gid{6}, Gid{7}};
    const auto bytes =
        encode_one(std::vector<Refused>{refused, {Nonce{1}, flow, Reason::outside}}, keys.current);
    const auto datagram = decode(bytes, path, keys);
    ASSERT_TRUE(datagram);
    const auto* all = std::get_if<std::vector<Refused>>(&datagram->entries);
    ASSERT_TRUE(all);
    ASSERT_EQ(all->size(), 2u);
    const auto& first = all->front();
    EXPECT_EQ(first.flow, flow);
    EXPECT_EQ(first.reason, Reason::different_user);
    EXPECT_TRUE(first.observed);
    EXPECT_FALSE(first.ended);
    EXPECT_EQ(first.connector, Uid{2002});
    EXPECT_FALSE(first.listener);
    EXPECT_EQ(first.program.comm, "python3");
    EXPECT_EQ(first.program.job, 42u);
    EXPECT_EQ(first.common, (std::vector<Gid>{Gid{6}, Gid{7}}));
    for (std::size_t size = 24; size < bytes.size() - 16; ++size) { // cut anywhere, and signed
        auto cut = bytes;
        cut.resize(size + 16);
        cut[6] = static_cast<std::uint8_t>(cut.size() >> 8);
        cut[7] = static_cast<std::uint8_t>(cut.size());
        EXPECT_FALSE(decode(sign(std::move(cut)), path, keys)) << size;
    }
}

TEST_F(Wire, a_refusal_names_a_reason_to_refuse) {
    for (const auto reason : {Reason::same_user, Reason::observed}) {
        const auto bytes = encode_one(std::vector<Refused>{{Nonce{1}, flow, reason}}, keys.current);
        EXPECT_EQ(decode(bytes, path, keys).error(), Rejection::malformed);
    }
}

TEST_F(Wire, an_inquiry_and_its_decision_come_out_as_they_went_in) {
    for (const auto as : {std::optional<Uid>(), std::optional(Uid{2002})}) {
        const auto bytes = encode_one(std::vector<Inquiry>{{Nonce{9}, flow, as}}, keys.current);
        const auto datagram = decode(bytes, path, keys);
        ASSERT_TRUE(datagram);
        const auto& inquiry = std::get<std::vector<Inquiry>>(datagram->entries).at(0);
        EXPECT_EQ(inquiry.nonce, Nonce{9});
        EXPECT_EQ(inquiry.flow, flow);
        EXPECT_EQ(inquiry.as, as);
        for (unsigned flags = 2; flags < 256; ++flags) {
            auto other = bytes;
            other[24 + 8] = static_cast<std::uint8_t>(flags);
            EXPECT_FALSE(decode(sign(std::move(other)), path, keys)) << flags;
        }
    }
    auto of_rdma = flow;
    of_rdma.protocol = Protocol::rdma;
    EXPECT_FALSE(
        decode(encode_one(std::vector<Inquiry>{{Nonce{9}, of_rdma}}, keys.current), path, keys));
    for (unsigned flags = 0; flags < 16; ++flags) {
        Decision decision{Nonce{9}, Reason::different_user, (flags & 4) != 0, (flags & 8) != 0};
        if ((flags & 1) != 0)
            decision.connector = Uid{2002};
        if ((flags & 2) != 0)
            decision.listener = Uid{2001};
        const auto bytes = encode_one(std::vector<Decision>{decision}, keys.current);
        const auto datagram = decode(bytes, path, keys);
        ASSERT_TRUE(datagram);
        const auto& heard = std::get<std::vector<Decision>>(datagram->entries).at(0);
        EXPECT_EQ(heard.nonce, Nonce{9});
        EXPECT_EQ(heard.reason, Reason::different_user);
        EXPECT_EQ(heard.observed, decision.observed);
        EXPECT_EQ(heard.unwatched, decision.unwatched);
        EXPECT_EQ(heard.connector, decision.connector);
        EXPECT_EQ(heard.listener, decision.listener);
        auto other = bytes;
        other[24 + 8] |= 16;
        EXPECT_FALSE(decode(sign(other), path, keys));
        other = bytes;
        other[24 + 8 + 9 + 1] = '?'; // in the reason's name
        EXPECT_FALSE(decode(sign(other), path, keys));
        for (std::size_t size = 24; size < bytes.size() - 16; ++size) { // cut anywhere, and signed
            auto cut = bytes;
            cut.resize(size + 16);
            cut[6] = static_cast<std::uint8_t>(cut.size() >> 8);
            cut[7] = static_cast<std::uint8_t>(cut.size());
            EXPECT_FALSE(decode(sign(std::move(cut)), path, keys)) << size;
        }
    }
}

TEST_F(Wire, a_question_comes_out_as_it_went_in) {
    const auto datagram = decode(question(), path, keys);
    ASSERT_TRUE(datagram);
    EXPECT_EQ(datagram->from, Channel{3});
    EXPECT_EQ(datagram->time, Milliseconds(1234567));
    const auto& questions = std::get<std::vector<Question>>(datagram->entries);
    ASSERT_EQ(questions.size(), 1u);
    EXPECT_EQ(questions[0].nonce, Nonce{7});
    EXPECT_EQ(questions[0].role, Role::listener);
    EXPECT_EQ(questions[0].flow, flow);
    EXPECT_EQ(questions[0].same_as, Uid{2001});
}

TEST_F(Wire, a_flow_is_of_a_known_protocol) {
    for (const int number : {6, 17, 254, 0, 1, 132, 253, 255}) {
        auto other = flow;
        other.protocol = Protocol{static_cast<std::uint8_t>(number)};
        const auto datagram = decode(
            encode_one(std::vector<Question>{{Nonce{7}, Role::listener, other, std::nullopt}},
                       keys.current),
            path, keys);
        const bool known = number == 6 || number == 17 || number == 254;
        ASSERT_EQ(datagram.has_value(), known) << number;
        if (known) {
            EXPECT_EQ(std::get<std::vector<Question>>(datagram->entries).at(0).flow, other);
        }
    }
}

TEST_F(Wire, flags_of_a_question_that_mean_nothing_are_malformed) {
    constexpr std::size_t flags_offset = 24 + 9;
    for (unsigned flags = 0; flags < 256; ++flags) {
        auto bytes = question();
        bytes[flags_offset] = static_cast<std::uint8_t>(flags);
        EXPECT_EQ(decode(sign(std::move(bytes)), path, keys).has_value(),
                  flags < 16 && (flags & 9) != 9) // 2 and 4 are an older ubfd's, and no matter
            << flags;
    }
}

TEST_F(Wire, what_an_older_ubfd_tells_ahead_is_unasked) {
    constexpr std::size_t kind_offset = 4;
    auto bytes = question();
    bytes[kind_offset] = 5;
    EXPECT_EQ(decode(bytes, path, keys).error(), Rejection::wrong_key);
    EXPECT_EQ(decode(sign(std::move(bytes)), path, keys).error(), Rejection::unasked);
}

TEST_F(Wire, an_answer_comes_out_as_it_went_in) {
    const auto datagram = decode(encode_one(std::vector{answer()}, keys.current), path, keys);
    ASSERT_TRUE(datagram);
    const auto& owner = std::get<std::vector<Answer>>(datagram->entries).at(0).owner;
    EXPECT_EQ(owner.kind, OwnerKind::user);
    EXPECT_EQ(owner.uid, Uid{2001});
    ASSERT_TRUE(owner.credentials);
    EXPECT_EQ(owner.credentials->gid, Gid{5});
    EXPECT_EQ(owner.credentials->groups, (std::vector<Gid>{Gid{6}, Gid{7}}));
    EXPECT_EQ(owner.credentials->labels, (std::vector<Label>{{LabelOrigin::slurm, "chem"}}));
    EXPECT_EQ(owner.credentials->process.pid, Pid{99});
    EXPECT_EQ(owner.credentials->process.comm, "python3");
    EXPECT_EQ(owner.credentials->process.job, 42u);
    EXPECT_TRUE(owner.credentials->labels_known);
}

TEST_F(Wire, an_answer_says_that_nobody_is_known_and_why) {
    for (const auto& [told, heard] : {std::pair{Owner{}, OwnerKind::unknown},
                                      {Owner::kernel(), OwnerKind::kernel},
                                      {Owner::shared(), OwnerKind::shared},
                                      {Owner::translated(), OwnerKind::translated},
                                      {Owner::outside(), OwnerKind::unknown}}) {
        const auto datagram =
            decode(encode_one(std::vector{Answer{Nonce{8}, told}}, keys.current), path, keys);
        ASSERT_TRUE(datagram);
        EXPECT_EQ(std::get<std::vector<Answer>>(datagram->entries).at(0).owner.kind, heard);
    }
}

TEST_F(Wire, an_answer_in_parts_comes_out_as_it_went_in) {
    for (const auto part : {Part::whole, Part::uid, Part::busy}) {
        const auto datagram = decode(
            encode_one(std::vector<Answer>{{Nonce{8}, Owner::user(Uid{2001}), part}}, keys.current),
            path, keys);
        ASSERT_TRUE(datagram);
        const auto& got = std::get<std::vector<Answer>>(datagram->entries).at(0);
        EXPECT_EQ(got.nonce, Nonce{8});
        EXPECT_EQ(got.part, part);
        EXPECT_EQ(got.owner.uid, Uid{2001});
        EXPECT_FALSE(got.owner.credentials);
    }
}

TEST_F(Wire, a_busy_node_says_what_it_has_found) {
    auto partly = answer();
    partly.owner.credentials->labels_known = false;
    partly.part = Part::busy;
    const auto datagram = decode(encode_one(std::vector{partly}, keys.current), path, keys);
    ASSERT_TRUE(datagram);
    const auto& got = std::get<std::vector<Answer>>(datagram->entries).at(0);
    EXPECT_EQ(got.part, Part::busy);
    ASSERT_TRUE(got.owner.credentials);
    EXPECT_EQ(got.owner.credentials->groups, partly.owner.credentials->groups);
}

TEST_F(Wire, flags_of_an_answer_that_mean_nothing_are_malformed) {
    constexpr std::size_t kind_offset = 24 + 8;
    for (unsigned kind = 0; kind < 6; ++kind)
        for (unsigned flags = 0; flags < 256; ++flags) {
            auto bytes =
                encode_one(std::vector<Answer>{{Nonce{8}, Owner::user(Uid{2001})}}, keys.current);
            bytes[kind_offset] = static_cast<std::uint8_t>(kind);
            bytes[kind_offset + 1] = static_cast<std::uint8_t>(flags);
            const bool good =
                kind < 5 && (flags == 0 || (kind == 1 && (flags == 8 || flags == 16)));
            EXPECT_EQ(decode(sign(std::move(bytes)), path, keys).has_value(), good)
                << kind << ' ' << flags;
        }
}

TEST_F(Wire, another_version_is_named) {
    for (const int spoken : {0, 1, 2, 4, 255}) {
        auto bytes = question();
        bytes[2] = static_cast<std::uint8_t>(spoken);
        const auto datagram = decode(sign(std::move(bytes)), path, keys);
        ASSERT_FALSE(datagram);
        EXPECT_EQ(datagram.error(), Rejection::other_version);
    }
}

TEST_F(Wire, the_largest_answer_fits_and_leaves_out_only_what_has_no_room) {
    auto large = answer();
    large.owner.credentials->groups.assign(65536, Gid{1});
    large.owner.credentials->labels.assign(100, {LabelOrigin::slurm, std::string(32, 'x')});
    large.owner.credentials->labels.push_back({LabelOrigin::slurm, std::string(65536, 'x')});
    large.owner.credentials->process.comm = std::string(1000, 'c');
    const auto datagram = decode(encode_one(std::vector{large}, keys.current), path, keys);
    ASSERT_TRUE(datagram);
    const auto& owner = std::get<std::vector<Answer>>(datagram->entries).at(0).owner;
    EXPECT_EQ(owner.credentials->groups.size(), max_groups);
    EXPECT_EQ(owner.credentials->labels.size(), max_labels);
    EXPECT_FALSE(owner.credentials->labels_known);
}

TEST_F(Wire, many_questions_go_in_several_datagrams) {
    std::vector<Question> questions;
    for (std::uint64_t i = 0; i < 100; ++i)
        questions.push_back({Nonce{i}, Role::connector, flow, std::nullopt});
    const Datagram datagram{Channel::service, Channel{1}, Milliseconds(1), questions};
    std::size_t first = 0;
    std::uint64_t next = 0;
    int datagrams = 0;
    while (first < questions.size()) {
        const auto decoded =
            decode(encode(buffer, datagram, first, path, keys.current), path, keys);
        ASSERT_TRUE(decoded);
        ++datagrams;
        for (const auto& question : std::get<std::vector<Question>>(decoded->entries))
            EXPECT_EQ(question.nonce, Nonce{next++});
    }
    EXPECT_EQ(next, 100u);
    EXPECT_LT(datagrams, 10);
}

TEST_F(Wire, another_key_is_refused) {
    const KeyRing others{Key::random(), std::nullopt};
    EXPECT_EQ(decode(question(), path, others).error(), Rejection::wrong_key);
}

TEST_F(Wire, the_key_before_is_accepted_while_rotating) {
    const KeyRing rotated{Key::random(), keys.current};
    EXPECT_TRUE(decode(question(), path, rotated));
}

TEST_F(Wire, a_datagram_holds_between_its_own_two_ends_only) {
    EXPECT_EQ(decode(question(), path.reversed(), keys).error(), Rejection::wrong_key);
    auto other = path;
    other.to.address = *Address::parse("10.0.0.9");
    EXPECT_EQ(decode(question(), other, keys).error(), Rejection::wrong_key);
    other = path;
    other.from.port = 1016;
    EXPECT_EQ(decode(question(), other, keys).error(), Rejection::wrong_key);
}

TEST_F(Wire, no_bit_can_be_changed) {
    for (const auto& good : {question(), encode_one(std::vector{answer()}, keys.current)})
        for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
            auto changed = good;
            changed[bit / 8] = static_cast<std::uint8_t>(changed[bit / 8] ^ (1u << bit % 8));
            EXPECT_FALSE(decode(changed, path, keys)) << bit;
        }
}

TEST_F(Wire, no_truncation_or_extension_is_accepted) {
    const auto good = question();
    for (std::size_t length = 0; length < good.size(); ++length)
        EXPECT_FALSE(decode(std::span(good).first(length), path, keys));
    auto longer = good;
    longer.push_back(0);
    EXPECT_FALSE(decode(longer, path, keys));
}

// An attacker knows the key but not the format: this tests the parser itself, behind the MAC.
TEST_F(Wire, random_entries_with_a_good_mac_do_no_harm) {
    std::mt19937 random(1);
    for (int i = 0; i < 20'000; ++i) {
        auto bytes = question();
        bytes[4] = static_cast<std::uint8_t>(random() % 7);
        bytes[5] = static_cast<std::uint8_t>(random());
        for (std::size_t j = 24; j < bytes.size() - 16; ++j)
            if (random() % 4 == 0)
                bytes[j] = static_cast<std::uint8_t>(random());
        const bool ahead = bytes[4] == 5 && bytes[5] != 0;
        const auto datagram = decode(sign(std::move(bytes)), path, keys);
        if (!datagram) {
            EXPECT_EQ(datagram.error(), ahead ? Rejection::unasked : Rejection::malformed);
        }
    }
}

} // namespace
} // namespace ubf::ident
