// Settings of slurm.conf and its like as far as the checks need them. No I/O, but for what `open`
// reads.
#pragma once

#include "slurm/conf.hpp"

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace ubf::ctl::doctor {

class SlurmConf {
  public:
    SlurmConf() = default;
    // file: its path; files that it includes by a relative name are beside it.
    SlurmConf(std::string_view text, const std::string& file, const slurm::Open& open);

    // The value; empty if the file doesn't set it. Slurm ignores the case of keys.
    std::string get(std::string_view key) const;
    // Whether the word is in the list, with commas, that is the value. Case does not count. A word
    // with a value counts by its name: rl_enable=1.
    bool lists(std::string_view key, std::string_view word) const;
    // How many nodes the lines NodeName have.
    std::size_t nodes() const { return nodes_; }
    // The first one.
    const std::optional<slurm::Mistake>& mistake() const { return mistake_; }

  private:
    std::map<std::string, std::string, std::less<>> values_; // by keys in lower case
    std::size_t nodes_ = 0;
    std::optional<slurm::Mistake> mistake_;
};

} // namespace ubf::ctl::doctor
