// slurm_conf FILE: what ubfd reads in it, as JSON, for a comparison with Slurm itself.
#include "slurm/conf.hpp"

#include <fstream>
#include <iostream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

namespace {

std::optional<std::string> read_text(const std::string& file) {
    std::ifstream stream(file);
    if (!stream)
        return std::nullopt;
    return std::string(std::istreambuf_iterator<char>(stream), {});
}

nlohmann::json hosts(const std::vector<ubf::slurm::Host>& list) {
    auto json = nlohmann::json::array();
    for (const auto& host : list)
        json.push_back({host.name, host.address});
    return json;
}

} // namespace

int main(int count, char** words) {
    const std::string file = count == 2 ? words[1] : "";
    const auto parsed = ubf::slurm::parse_conf(read_text(file).value_or(""), file, read_text);
    const auto& conf = parsed.conf;
    nlohmann::json json{
        {"controllers", hosts(conf.controllers)},
        {"databases", hosts(conf.databases)},
        {"nodes", hosts(conf.nodes)},
        {"controller_ports", {conf.controller_ports.first, conf.controller_ports.last}},
        {"database_port", conf.database_port},
        {"node_port", conf.node_port},
        {"node_ports", nlohmann::json::array()},
        {"user", conf.user},
        {"mistakes", nlohmann::json::array()}};
    for (const auto& ports : conf.node_ports)
        json["node_ports"].push_back({ports.first, ports.last});
    if (conf.srun_ports)
        json["srun_ports"] = {conf.srun_ports->first, conf.srun_ports->last};
    for (const auto& mistake : parsed.mistakes)
        json["mistakes"].push_back(ubf::slurm::to_string(mistake));
    std::cout << json << '\n';
    return 0;
}
