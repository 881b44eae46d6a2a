#include "daemon/ubfctl/doctor/check.hpp"

#include <utility>

namespace ubf::ctl::doctor {

std::string_view to_string(State state) {
    switch (state) {
    case State::ok:
        return "ok";
    case State::off:
        return "off";
    case State::not_applicable:
        return "n/a";
    }
    return "";
}

Finding ok(std::string seen) {
    return {State::ok, std::move(seen)};
}

Finding none(std::string why) {
    return {State::not_applicable, std::move(why)};
}

Finding off(std::string seen, std::string write, std::string where) {
    return {State::off, std::move(seen), std::move(write), std::move(where)};
}

std::vector<Check> checks() {
    std::vector<Check> all;
    for (const auto part :
         {ubf_checks(), beside_checks(), node_checks(), slurm_checks(), ssh_checks()})
        all.insert(all.end(), part.begin(), part.end());
    return all;
}

} // namespace ubf::ctl::doctor
