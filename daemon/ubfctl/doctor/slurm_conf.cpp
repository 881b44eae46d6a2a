#include "daemon/ubfctl/doctor/slurm_conf.hpp"

#include "base/text.hpp"
#include "slurm/hostlist.hpp"
#include "slurm/lines.hpp"

#include <algorithm>
#include <array>
#include <functional>
#include <vector>

namespace ubf::ctl::doctor {

// A line that begins with one of these is about a part of the cluster.
constexpr std::array<std::string_view, 4> of_parts{"partitionname", "downnodes", "nodeset",
                                                   "frontendname"};

SlurmConf::SlurmConf(std::string_view text, const std::string& file, const slurm::Open& open) {
    std::vector<slurm::Mistake> mistakes;
    for (const auto& line : slurm::read_lines(text, file, open, mistakes)) {
        const auto& [key, value] = line.pairs.front();
        if (key == "nodename") {
            const auto names = slurm::expand(value);
            if (!names)
                mistakes.push_back({line.at.file, line.at.line, names.error()});
            else if (to_lower(value) != "default")
                nodes_ += names->size();
        } else if (std::ranges::find(of_parts, key) == of_parts.end()) {
            for (const auto& pair : line.pairs)
                values_[pair.key] = pair.value;
        }
    }
    if (!mistakes.empty())
        mistake_ = mistakes.front();
}

std::string SlurmConf::get(std::string_view key) const {
    const auto found = values_.find(to_lower(key));
    return found == values_.end() ? std::string() : found->second;
}

bool SlurmConf::lists(std::string_view key, std::string_view word) const {
    const auto value = to_lower(get(key));
    for (std::string_view rest = value; !rest.empty();) {
        auto item = trim(split(rest, ','));
        if (trim(split(item, '=')) == to_lower(word))
            return true;
    }
    return false;
}

} // namespace ubf::ctl::doctor
