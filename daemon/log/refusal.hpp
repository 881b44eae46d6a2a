// A flow that was refused, as it is remembered: for its users, and for the administrator.
#pragma once

#include "base/types.hpp"
#include "daemon/log/denial.hpp"
#include "flow/flow.hpp"
#include "owner/owner.hpp"
#include "policy/verdict.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

namespace ubf {

struct Refusal {
    using Time = std::chrono::system_clock::time_point;
    // An end, as far as it was known.
    struct End {
        OwnerKind kind = OwnerKind::unknown;
        Uid uid{}; // of kind user only
        std::optional<Gid> gid{};
        std::string program{}; // any bytes but 0
        Pid pid{};
        std::uint32_t job = 0;
        std::optional<Uid> via{}; // as whom the web portal runs that connected for the user

        bool is(Uid user) const { return kind == OwnerKind::user && uid == user; }
    };
    static constexpr std::size_t most_groups = 8;

    std::uint32_t id = 0;
    Time first{};
    Time last{};
    std::uint64_t count = 1; // refusals that differ in time and source port alone
    Flow flow{};             // connector to listener; the last one's source port
    Reason reason = Reason::internal_error;
    bool ended = false;
    bool observed = false;
    std::optional<Address> told_by{}; // the peer that refused it
    End connector{};
    End listener{};
    std::vector<Gid> common{};   // groups of which both ends are members, some of them
    std::string labels{};        // how they compare
    std::optional<Uid> person{}; // who is charged for it, if the user database has named them

    static Refusal of(const Denial& denial, Time now);
    bool concerns(Uid user) const { return connector.is(user) || listener.is(user); }
};

// For the control socket.
nlohmann::ordered_json to_json(const Refusal& refusal);
// For the file that outlives us.
nlohmann::ordered_json to_file_json(const Refusal& refusal);
// Nothing if it is none: the file may hold anything.
std::optional<Refusal> to_refusal(const nlohmann::ordered_json& json);

} // namespace ubf
