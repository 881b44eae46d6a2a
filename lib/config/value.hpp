// One value of the configuration file, with its position. Converts the value to one of our types,
// or throws a ConfigError that names the position. In a list, all wrong items are collected before
// an error is thrown.
#pragma once

#include "config/config.hpp"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <toml++/toml.h>
#include <vector>

namespace ubf::config {

// `FILE:LINE:COLUMN: what`
[[noreturn]] void fail_at(const std::string& name, const toml::source_region& where,
                          std::string_view what);

// The same for what is wrong with a key together with others: at its place, wherever it stands.
[[noreturn]] void fail_at(const std::string& name, const toml::table& root,
                          std::string_view section, std::string_view key, std::string_view what);

// All mistakes in one file.
class Mistakes {
  public:
    // Runs the action, and keeps its ConfigError.
    template<typename Action>
    void of(Action action) {
        try {
            action();
        } catch (const ConfigError& error) {
            all_.push_back(error);
        }
    }
    // If there are mistakes, throws them as one error, in the order of their lines.
    void check();

  private:
    std::vector<ConfigError> all_;
};

// All values of a file share this.
struct Reading {
    const std::string& file; // its name
    Names names;
    std::vector<std::string>& unknown; // unknown to the user database, if that is no error
    Mistakes& mistakes;
};

class Value {
  public:
    Value(const Reading& reading, std::string key, const toml::node& node)
      : reading_(reading)
      , key_(std::move(key))
      , node_(node) {}

    bool boolean() const;
    std::int64_t integer(std::int64_t least, std::int64_t most) const;
    std::string string() const;
    std::string string_or_none() const; // "" means none
    std::string socket_path() const;    // not too long for a socket
    // The position of the word in `words`.
    std::size_t one_of(std::initializer_list<std::string_view> words) const;
    std::vector<Value> array() const;
    bool is_array() const { return node_.get().is_array(); }
    // Calls `action` for each item, and goes on after a mistake.
    template<typename Action>
    void each(Action action) const {
        for (const auto& item : array())
            attempt([&] { action(item); });
    }
    // Runs the action, and goes on after a mistake.
    template<typename Action>
    void attempt(Action action) const {
        reading_.get().mistakes.of(action);
    }
    // Whether this value stands after the other in the file.
    bool is_after(const Value& other) const;

    // Numbers, or strings like "1000-1999".
    PortRange port_range() const;
    ProtocolPorts protocol_ports() const; // "tcp/22", "udp/123", 8080, "tcp/9000-9100"
    std::uint8_t ip_protocol() const;     // "esp", 50; not one that is judged or always passes
    Prefix prefix() const;
    Label pkey() const; // "0x8001"
    // Nothing for a name that is passed over, or unknown if that is no error.
    std::optional<UidRange> uids() const; // "alice", 2001, "1000-1999"
    // The same, optionally with an address or a range: "root@10.0.0.1", "slurm@fd00::/64"
    std::optional<Exemption> exemption() const;
    // Ports as for protocol_ports(), or "*"; optionally with an address: "tcp/2049@10.0.0.0/28"
    KernelExemption kernel_exemption() const;
    // "alice>bob tcp/8786@10.0.0.2": users, users, ports; optionally the listener's address
    std::optional<Exception> exception() const;
    std::optional<Gid> gid() const;     // "users", 100
    bool is_group() const;              // "@physics"
    std::optional<Gid> group() const;   // the same, as a gid
    InterfacePattern interface() const; // "eth0", "eth*"
    // The text after the prefix, as in "account:chem"; nothing if the value lacks the prefix.
    std::optional<std::string> after(std::string_view prefix) const;

    [[noreturn]] void fail(std::string_view what) const;

  private:
    std::string text() const; // of a string or an integer
    std::optional<UidRange> to_uids(const std::string& given) const;
    std::optional<Gid> to_gid(const std::string& given) const;
    void miss(std::string_view kind, const std::string& name, std::string_view number) const;

    std::reference_wrapper<const Reading> reading_;
    std::string key_;
    std::reference_wrapper<const toml::node> node_;
};

} // namespace ubf::config
