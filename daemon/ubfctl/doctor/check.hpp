// The table of checks, in the order of the page. No I/O.
#pragma once

#include "daemon/ubfctl/doctor/facts.hpp"

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace ubf::ctl::doctor {

enum class State : std::uint8_t { ok, off, not_applicable };

std::string_view to_string(State state);

struct Finding {
    State state = State::ok;
    std::string seen{};  // the fact that decides
    std::string write{}; // the line that turns it to ok
    std::string where{}; // the file, or "a shell"
};

Finding ok(std::string seen = {});
Finding none(std::string why);
Finding off(std::string seen, std::string write, std::string where);

struct Check {
    std::string_view id;
    std::string_view closes; // the layer's effect
    std::string_view open;   // without it
    Finding (*judge)(const Facts& facts);
};

std::span<const Check> ubf_checks();
std::span<const Check> beside_checks();
std::span<const Check> node_checks();
std::span<const Check> slurm_checks();
std::span<const Check> ssh_checks();

// All of them. Each id is there once.
std::vector<Check> checks();

} // namespace ubf::ctl::doctor
