#include "daemon/control/commands.hpp"

#include <gtest/gtest.h>

namespace ubf {
namespace {

using Json = ControlServer::Json;

std::string error_of(const Commands& commands, const Json& request) {
    std::string error;
    commands.handle(request, Uid{7},
                    [&](const Json& reply) { error = reply.value("error", std::string()); });
    return error;
}

TEST(Commands, a_request_goes_to_the_command_of_its_name_with_its_asker) {
    Commands commands;
    Uid asked{};
    commands.add("other", [](const Json&, Uid, const auto& reply) { reply({{"error", "other"}}); });
    commands.add("status", [&](const Json& request, Uid asker, const auto& reply) {
        asked = asker;
        reply({{"error", request.value("more", std::string())}});
    });
    EXPECT_EQ(error_of(commands, {{"command", "status"}, {"more", "and more"}}), "and more");
    EXPECT_EQ(asked, Uid{7});
}

TEST(Commands, an_unknown_one_is_told_of_those_that_there_are) {
    Commands commands;
    const auto nothing = [](const Json&, Uid, const auto&) {};
    commands.add("why", nothing);
    EXPECT_EQ(error_of(commands, {{"command", "who"}}), "unknown command; there is why");
    commands.add("reload", nothing);
    commands.add("jobs", nothing);
    EXPECT_EQ(error_of(commands, Json::object()),
              "unknown command; there are why, reload and jobs");
    EXPECT_EQ(error_of(commands, {{"command", 4}}),
              "unknown command; there are why, reload and jobs");
}

} // namespace
} // namespace ubf
