#include "portal/answer.hpp"
#include "portal/question.hpp"
#include "portal/wire.hpp"

#include <gtest/gtest.h>
#include <vector>

namespace ubf::portal {
namespace {

// "user target", or the reason of the refusal.
std::string seen(std::string_view uri, const std::vector<Field>& fields = {}) {
    const auto question = parse_question(uri, fields);
    if (!question)
        return question.error().reason;
    const auto* endpoint = std::get_if<Endpoint>(&question->target);
    return question->user + " " + (endpoint ? to_string(*endpoint) : "named") +
           (question->wants_source ? " source" : "");
}

TEST(PortalQuestion, comes_in_headers_or_in_the_query) {
    EXPECT_EQ(seen("/v1/may", {{"UBF-User", "alice"}, {"UBF-Target", "10.0.0.7:80"}}),
              "alice 10.0.0.7:80");
    EXPECT_EQ(seen("/v1/may", {{"ubf-user", " 1001 "}, {"Ubf-Target", "node7:80"}}), "1001 named");
    EXPECT_EQ(seen("/v1/may?user=alice&target=10.0.0.7:80"), "alice 10.0.0.7:80");
    EXPECT_EQ(seen("/v1/may/x?target=10.0.0.7%3A80&user=al%69ce&x=1"), "alice 10.0.0.7:80");
    EXPECT_EQ(seen("/v1/may?user=alice", {{"UBF-User", "alice"}, {"UBF-Target", "10.0.0.7:80"}}),
              "alice 10.0.0.7:80");
    EXPECT_EQ(seen("/v1/may?user=alice&target=10.0.0.7:80", {{"UBF-Want-Source", "1"}}),
              "alice 10.0.0.7:80 source");
    EXPECT_TRUE(is_question("/v1/may?x") && is_question("/v1/may/any/path"));
    EXPECT_FALSE(is_question("/v1") || is_question("//v1/may") || is_question("*"));
}

TEST(PortalQuestion, that_says_two_things_is_malformed) {
    const Field user{"UBF-User", "alice"};
    const Field target{"UBF-Target", "10.0.0.7:80"};
    EXPECT_EQ(seen("/v1/may?user=bob", {user, target}), "malformed");
    EXPECT_EQ(seen("/v1/may?target=10.0.0.8:80", {user, target}), "malformed");
    EXPECT_EQ(seen("/v1/may?user=", {user, target}), "malformed");
    EXPECT_EQ(seen("/v1/may", {user, user, target}), "malformed");
    EXPECT_EQ(seen("/v1/may", {user, target, target}), "malformed");
    EXPECT_EQ(seen("/v1/may?user=alice&user=alice&target=10.0.0.7:80"), "malformed");
    EXPECT_EQ(seen("/v1/may", {user, target, {"UBF-Want-Source", "yes"}}), "malformed");
}

TEST(PortalQuestion, without_a_user_nobody_is_logged_in) {
    EXPECT_EQ(seen("/v1/may", {{"UBF-Target", "10.0.0.7:80"}}), "no-user");
    EXPECT_EQ(seen("/v1/may", {{"UBF-User", ""}, {"UBF-Target", "10.0.0.7:80"}}), "no-user");
    EXPECT_EQ(seen("/v1/may?user=&target=10.0.0.7:80"), "no-user");
    EXPECT_EQ(parse_question("/v1/may", {}).error().status, 401U);
}

TEST(PortalQuestion, forged_users_are_malformed) {
    const std::vector<std::string> forged{"..",
                                          "a..b",
                                          "../alice",
                                          ".alice",
                                          "-1",
                                          "+1",
                                          "@site",
                                          "al ice",
                                          "al:ice",
                                          "alice\r\nx",
                                          std::string("al\0ice", 6),
                                          "al%00ice",
                                          "alice/bob",
                                          "ali\x7f"
                                          "ce",
                                          "\xc3\xa4lice",
                                          "alice,bob",
                                          std::string(257, 'a')};
    for (const auto& user : forged)
        EXPECT_EQ(seen("/v1/may", {{"UBF-User", user}, {"UBF-Target", "10.0.0.7:80"}}), "malformed")
            << user;
    EXPECT_EQ(seen("/v1/may?user=al%00ice&target=10.0.0.7:80"), "malformed");
    EXPECT_EQ(seen("/v1/may?user=al%0d%0aice&target=10.0.0.7:80"), "malformed");
    EXPECT_EQ(seen("/v1/may?user=alice%&target=10.0.0.7:80"), "malformed");
    EXPECT_EQ(seen("/v1/may?user=alice%2&target=10.0.0.7:80"), "malformed");
    EXPECT_EQ(seen("/v1/may?user=a%+1&target=10.0.0.7:80"), "malformed");
}

TEST(PortalQuestion, the_body_takes_the_form_that_is_asked_for) {
    const auto form = [](std::string_view accept) {
        const Field field{"accept", accept};
        return form_of({&field, 1});
    };
    EXPECT_EQ(form("text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"), Form::html);
    EXPECT_EQ(form("application/json"), Form::json);
    EXPECT_EQ(form("application/json, text/html"), Form::json);
    EXPECT_EQ(form("text/html;q=0, application/json"), Form::json);
    EXPECT_EQ(form("*/*"), Form::none);
    EXPECT_EQ(form_of({}), Form::none);
}

std::string field(const Response& response, std::string_view name) {
    for (const auto& [key, value] : response.fields)
        if (key == name)
            return value;
    return "none";
}

TEST(PortalAnswer, an_allowed_portal_gets_the_address_to_connect_to) {
    const auto response = response_to(
        Grant{"same-user", *Endpoint::parse("[fd00::7]:80"), *Endpoint::parse("10.0.0.3:40001")},
        Form::html);
    EXPECT_EQ(response.code, 204U);
    EXPECT_EQ(field(response, "UBF-Address"), "[fd00::7]:80");
    EXPECT_EQ(field(response, "UBF-Source"), "10.0.0.3:40001");
    EXPECT_EQ(field(response, "Cache-Control"), "no-store");
    EXPECT_EQ(response.body, "");
}

TEST(PortalAnswer, a_refusal_is_403_with_the_status_beside_it) {
    const Refusal closed{"no-listener", "Nobody listens there.", 404};
    const auto response = response_to(fail(closed), Form::none);
    EXPECT_EQ(response.code, 403U);
    EXPECT_EQ(field(response, "UBF-Status"), "404");
    EXPECT_EQ(field(response, "UBF-Explain"), "Nobody listens there.");
    EXPECT_EQ(response.body, "");
    EXPECT_EQ(response_to(fail(Refusal{"no-user", "", 401}), Form::none).code, 401U);
    EXPECT_EQ(response_to(fail(Refusal{"busy", "", 503}), Form::none).code, 503U);
    EXPECT_EQ(response_to(fail(Refusal{"x", "", 204}), Form::none).code, 403U);
    EXPECT_EQ(response_to(fail(closed), Form::json).body,
              "{\"allowed\":false,\"reason\":\"no-listener\",\"explain\":\"Nobody listens "
              "there.\",\"status\":404}\n");
}

TEST(PortalAnswer, no_text_leaves_its_place) {
    const Refusal forged{"<b>\r\nX: y",
                         "<script>\r\nSet-Cookie: x=1\r\n\r\n" + std::string(5000, '&')};
    const auto response = response_to(fail(forged), Form::html);
    for (const auto& [name, value] : response.fields)
        EXPECT_EQ(value.find_first_of("\r\n"), std::string::npos) << name;
    EXPECT_EQ(response.body.find("<script"), std::string::npos);
    EXPECT_EQ(response.body.find("<b>"), std::string::npos);
    EXPECT_EQ(field(response, "UBF-Reason"), "unavailable");
    EXPECT_EQ(field(response, "UBF-Explain").find_first_of("<>&\"'"), std::string::npos);
    EXPECT_LE(response.body.size(), most_in_page);
}

TEST(PortalAnswer, every_page_is_short_and_says_why) {
    for (const char* reason : {"no-user", "no-listener", "no-answer", "busy", "unavailable",
                               "malformed", "not-a-target", "not-a-portal", "different-user"}) {
        const auto body =
            response_to(fail(Refusal{reason, std::string(300, 'x')}), Form::html).body;
        EXPECT_LE(body.size(), most_in_page) << reason;
        EXPECT_NE(body.find("ubf: " + std::string(reason)), std::string::npos);
        EXPECT_NE(body.find(std::string(300, 'x')), std::string::npos);
    }
}

TEST(PortalAnswer, a_page_says_nothing_that_the_reason_does_not) {
    const auto page = [](const char* reason, unsigned status) {
        return response_to(fail(Refusal{reason, "x", status}), Form::html).body;
    };
    const auto says = [&](const std::string& body, const char* words) {
        return body.find(words) != std::string::npos;
    };
    EXPECT_TRUE(says(page("different-user", 403), "belongs to somebody else"));
    for (const char* reason : {"internal-error", "label-required", "shared-port", "no-grant"}) {
        EXPECT_FALSE(says(page(reason, 403), "belongs to somebody else")) << reason;
        EXPECT_FALSE(says(page(reason, 403), "under a group")) << reason;
    }
    EXPECT_TRUE(says(page("no-user", 401), "You are not logged in"));
    EXPECT_FALSE(says(page("no-user", 403), "You are not logged in")); // they are; see portal.for
    EXPECT_TRUE(says(page("no-user", 403), "portal.for"));
}

TEST(PortalReply, is_read_and_not_trusted) {
    const auto allowed =
        parse_reply(R"({"id":7,"allowed":true,"reason":"same-user","address":"10.0.0.7:80"})");
    ASSERT_TRUE(allowed && allowed->answer);
    EXPECT_EQ(allowed->id, 7U);
    EXPECT_EQ(to_string(allowed->answer->address), "10.0.0.7:80");
    const auto denied = parse_reply(
        R"({"id":8,"allowed":false,"reason":"no-listener","explain":"a\nb","status":404})");
    ASSERT_TRUE(denied && !denied->answer);
    EXPECT_EQ(denied->answer.error().status, 404U);
    EXPECT_EQ(denied->answer.error().explain, "a\nb");
    for (const char* text : {"", "[]", "7", "{}", R"({"id":-1})", R"({"id":"7"})", "{\"id\":7"})
        EXPECT_FALSE(parse_reply(text)) << text;
    for (const char* text :
         {R"({"id":7})", R"({"id":7,"allowed":1})", R"({"id":7,"allowed":true})",
          R"({"id":7,"allowed":true,"address":"10.0.0.7:0"})",
          R"({"id":7,"allowed":true,"address":"127.0.0.1:80"})",
          R"({"id":7,"allowed":true,"address":"node7:80"})", R"({"id":7,"status":1e99})"})
        EXPECT_FALSE(parse_reply(text)->answer) << text;
}

TEST(PortalReply, reads_a_grant_in_any_form_alike) {
    const std::string plain =
        R"({"id":7,"allowed":true,"reason":"same-user","address":"10.0.0.7:80"})";
    for (const std::string& text :
         {plain, " " + plain + "\r",
          std::string(
              R"({"id": 7, "allowed": true, "reason": "same-user", "address": "10.0.0.7:80"})"),
          std::string(
              R"({"id":7,"allowed":true,"reason":"same\u002duser","address":"10.0.0.7:80"})"),
          std::string(R"({"address":"10.0.0.7:80","reason":"same-user","allowed":true,"id":7})"),
          std::string(
              R"({"id":7,"allowed":true,"reason":"same-user","address":"10.0.0.7:80","x":1})")}) {
        const auto reply = parse_reply(text);
        ASSERT_TRUE(reply && reply->answer) << text;
        EXPECT_EQ(reply->id, 7U) << text;
        EXPECT_EQ(reply->answer->reason, "same-user") << text;
        EXPECT_EQ(to_string(reply->answer->address), "10.0.0.7:80") << text;
        EXPECT_FALSE(reply->answer->source) << text;
    }
    const auto with_source = parse_reply(R"({"id":7,"allowed":true,"reason":"same-user",)"
                                         R"("address":"10.0.0.7:80","source":"10.0.0.1:40001"})");
    EXPECT_TRUE(with_source->answer->source);
    for (const std::string& text : {plain + "}", plain + plain, plain.substr(0, plain.size() - 1)})
        EXPECT_FALSE(parse_reply(text)) << text;
    for (const char* address : {"127.0.0.1:80", "10.0.0.7:0", "10.0.0.7", ""}) {
        const auto reply =
            parse_reply(R"({"id":7,"allowed":true,"reason":"same-user","address":")" +
                        std::string(address) + "\"}");
        EXPECT_FALSE(reply->answer) << address;
    }
}

TEST(PortalReply, the_question_is_one_line) {
    const auto target = *Endpoint::parse("[fd00::7]:8888");
    EXPECT_EQ(
        to_line({1, "a.b-c_d@e", Uid{33}, Pid{1}, target, Endpoint::parse("[fd00::1]:40001")}),
        "{\"may\":{\"user\":\"a.b-c_d@e\",\"asker\":33,\"pid\":1,\"target\":\"[fd00::7]:8888\","
        "\"source\":\"[fd00::1]:40001\"},\"id\":1}\n");
    const auto forged = to_line({1, "a\",\"asker\":0,\"x\":\"", Uid{33}, Pid{1}, target, {}});
    EXPECT_EQ(forged.find("\"asker\":0"), std::string::npos) << forged;
    EXPECT_EQ(to_line({17, "alice", Uid{33}, Pid{4711}, *Endpoint::parse("10.0.0.7:8888"), {}}),
              "{\"may\":{\"user\":\"alice\",\"asker\":33,\"pid\":4711,"
              "\"target\":\"10.0.0.7:8888\"},\"id\":17}\n");
}

} // namespace
} // namespace ubf::portal
