// The subcommands of ubfctl: one table drives dispatch, help and completion.
#pragma once

#include <filesystem>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace ubf::ctl {

// The options before the subcommand.
struct Globals {
    std::filesystem::path socket;
    std::filesystem::path user_socket; // every user's
    bool json = false;
    bool colours = false;
    bool pages = true; // through a pager, on a terminal
};

struct Column;

using Arguments = std::vector<std::string>; // the words behind the subcommand

struct Command {
    std::string_view name;
    std::string_view usage;
    std::string_view description;
    std::string_view example;
    int (*run)(const Globals& globals, const Arguments& arguments); // the exit status
    std::span<const Column> (*columns)() = nullptr;                 // of a command with --output
};

std::span<const Command> commands();
std::span<const Column> flow_columns();
std::span<const Column> peer_columns();

int status(const Globals& globals, const Arguments& arguments);
int check_config(const Globals& globals, const Arguments& arguments);
int ruleset(const Globals& globals, const Arguments& arguments);
int explain(const Globals& globals, const Arguments& arguments);
int why(const Globals& globals, const Arguments& arguments);
int report(const Globals& globals, const Arguments& arguments);
int allow(const Globals& globals, const Arguments& arguments);
int config(const Globals& globals, const Arguments& arguments);
int peers(const Globals& globals, const Arguments& arguments);
int log(const Globals& globals, const Arguments& arguments);
int top(const Globals& globals, const Arguments& arguments);
int metrics(const Globals& globals, const Arguments& arguments);
int completion(const Globals& globals, const Arguments& arguments);
int flows(const Globals& globals, const Arguments& arguments);
int revoke(const Globals& globals, const Arguments& arguments);
int job(const Globals& globals, const Arguments& arguments);
int listeners(const Globals& globals, const Arguments& arguments);
int doctor_command(const Globals& globals, const Arguments& arguments);
int reload(const Globals& globals, const Arguments& arguments);
int keygen(const Globals& globals, const Arguments& arguments);
int node(const Globals& globals, const Arguments& arguments);
int ca(const Globals& globals, const Arguments& arguments);
int grant(const Globals& globals, const Arguments& arguments);

// The words were wrong; exit status EX_USAGE.
class UsageError : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

inline constexpr const char* default_config = "/etc/ubf/ubfd.toml";
inline constexpr const char* default_key = "/etc/ubf/ident.key";

} // namespace ubf::ctl
