// Exceptions that an administrator makes for a while (`ubfctl allow`), beside those of the
// configuration. They end by themselves, and outlive a restart. The main thread's.
#pragma once

#include "base/result.hpp"
#include "policy/policy.hpp"

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

namespace ubf {

class TemporaryExceptions {
  public:
    using Time = std::chrono::system_clock::time_point;
    using Json = nlohmann::ordered_json;

    struct Item {
        std::string text; // as policy.allow has it
        Exception exception;
        Time until;
    };
    static constexpr std::size_t most = 256;
    static constexpr std::chrono::hours longest{24 * 30};

    // Reads what a predecessor wrote. Nothing, or what is wrong.
    std::optional<std::string> begin(std::filesystem::path file, Time now);
    // uids: the same with uids for names; empty: the names in the text are looked up, which may
    // take a while. The error is for the administrator.
    Result<Item, std::string> add(const std::string& text, const std::string& uids,
                                  std::chrono::seconds span, Time now);
    std::optional<Item> remove(const std::string& text);
    // Those that are over.
    std::vector<Item> take_expired(Time now);

    std::vector<Exception> all() const;
    Json list(Time now) const;
    // Nothing, or what is wrong.
    std::optional<std::string> save() const;

  private:
    // One that a predecessor wrote. Nothing, or what is wrong.
    std::optional<std::string> take(const Json& row, Time until, Time now);

    std::vector<Item> items_;
    std::filesystem::path file_;
};

} // namespace ubf
