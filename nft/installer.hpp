// Puts the ruleset into the kernel, looks whether it is still there, takes it away again. Touches
// the table `inet ubf` and nothing else.
#pragma once

#include "base/result.hpp"
#include "netlink/socket.hpp"
#include "nft/ruleset.hpp"

#include <cstdint>
#include <functional>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

struct nlmsghdr;

namespace ubf::nft {

class NftError : public std::runtime_error {
  public:
    explicit NftError(const std::string& what, int code = 0)
      : std::runtime_error(what)
      , code_(code) {}
    int code() const { return code_; } // an errno, or 0

  private:
    int code_;
};

struct RuleCounter {
    std::uint64_t packets = 0;
    std::uint64_t bytes = 0;
};

class Installer {
  public:
    // Throws std::system_error.
    Installer();

    // What this kernel can do. Throws NftError when it can neither.
    QueueExpression probe_queue_expression();

    // One transaction: makes table, sets and chains where they are missing, and replaces what hangs
    // in them. Base chains are never deleted, so packets that wait keep waiting. Throws NftError,
    // and then nothing has changed.
    void install(const Ruleset& ruleset);
    // Throws NftError when the table is still there afterwards.
    void remove();

    // What differs, each named; empty when all is as it should be.
    Result<std::vector<std::string>, NftError> missing(const Ruleset& ruleset);
    // Changes with every change of any ruleset of this network namespace.
    Result<std::uint32_t, NftError> generation();
    // By the rule's id.
    Result<std::map<std::string, RuleCounter>, NftError> counters();

  private:
    class Batch;

    struct Outcome {
        int error;        // 0: done
        std::string what; // that failed
    };
    Outcome commit(Batch& batch);
    // 0, or the errno; `each` gets every message of the answer.
    int dump(std::uint16_t type, std::uint16_t flags, const std::function<void(nlmsghdr*)>& fill,
             const std::function<void(const nlmsghdr*)>& each);
    bool works(const ToQueue& queue);
    bool table_exists();

    NetlinkSocket socket_;
    std::uint32_t sequence_ = 1;
};

} // namespace ubf::nft
