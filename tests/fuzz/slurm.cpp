// slurm.conf, which root writes, and lists of hosts within it. Includes read the same text again.
#include "fuzzer.hpp"
#include "slurm/conf.hpp"
#include "slurm/hostlist.hpp"

#include <algorithm>
#include <string>

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string text(ubf::fuzz::text(data, size));
    if (const auto names = ubf::slurm::expand(text)) {
        ubf::fuzz::require(names->size() <= ubf::slurm::most_names);
        ubf::fuzz::require(std::ranges::none_of(*names, [](const auto& name) {
            return name.empty() || name.find_first_of("[],") != std::string::npos;
        }));
    }
    const auto parsed =
        ubf::slurm::parse_conf(text, "/etc/slurm/slurm.conf", [&](const std::string& file) {
            return file.ends_with("a") ? std::optional(text) : std::nullopt;
        });
    const auto& ports = parsed.conf.node_ports;
    ubf::fuzz::require(!ports.empty() && std::ranges::is_sorted(ports));
    for (const auto& range : ports)
        ubf::fuzz::require(range.first != 0 && range.first <= range.last);
    ubf::fuzz::require(!parsed.mistakes.empty() || !parsed.conf.controllers.empty());
    return 0;
}
