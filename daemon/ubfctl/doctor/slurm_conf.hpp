// Reads slurm.conf and its like as far as the checks need them. No I/O, but for what `include`
// reads.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace ubf::ctl::doctor {

class SlurmConf {
  public:
    // The text of an included file; nothing if it can't be read.
    using Include = std::function<std::optional<std::string>(const std::string& file)>;

    SlurmConf() = default;
    SlurmConf(std::string_view text, const Include& include);

    // The value; empty if the file doesn't set it. Slurm ignores the case of keys.
    std::string get(std::string_view key) const;
    // Whether the word is in the list, with commas, that is the value. Case does not count. A word
    // with a value counts by its name: rl_enable=1.
    bool lists(std::string_view key, std::string_view word) const;
    // How many nodes the lines NodeName have.
    std::size_t nodes() const { return nodes_; }
    // An included file that can't be read; empty if there is none.
    const std::string& missing() const { return missing_; }

  private:
    void read(std::string_view text, const Include& include, unsigned depth);
    void take(std::string_view line, const Include& include, unsigned depth);

    std::map<std::string, std::string, std::less<>> values_; // by keys in lower case
    std::size_t nodes_ = 0;
    std::string missing_;
};

// The number of names in "n[01-16,20],login"; each bracket multiplies. One million at most.
std::size_t count_names(std::string_view list);

std::string to_lower(std::string_view text);
std::string_view trim(std::string_view text);

} // namespace ubf::ctl::doctor
