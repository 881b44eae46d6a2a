// Detects scans: many different ports where nobody listens. A closed port or two is everyday life,
// and a program that waits for its server tries the same port over and over. The log names a scan.
// Pure memory: a packet costs one look-up.
#pragma once

#include "base/types.hpp"
#include "daemon/core/event_loop.hpp"
#include "flow/address.hpp"

#include <bit>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <unordered_map>
#include <utility>

namespace ubf {

class ClosedPorts {
  public:
    static constexpr int many = 16;                      // different ports
    static constexpr std::chrono::seconds together{60};  // within this
    static constexpr std::chrono::seconds told_every{1}; // at most
    static constexpr std::size_t most = 4096;            // sources at a time

    // A try from this address; of this user, where that is known. Returns how many tries of a scan
    // there were since the last time that it said so; 0: none that is to be told of now.
    std::uint64_t add(const Address& from, std::optional<Uid> user, Port port, TimePoint now) {
        if (sources_.size() >= most)
            make_room(now);
        auto& source = sources_[user ? Source{{}, user} : Source{from, {}}];
        if (now - source.since >= together)
            source = {now, source.told};
        ++source.tries;
        source.ports |= std::uint64_t{1} << port % 64; // as many bits as ports, or fewer
        if (!source.is_scan() || now - source.told < told_every)
            return 0;
        source.told = now;
        return std::exchange(source.tries, 0);
    }

    std::size_t size() const { return sources_.size(); }

  private:
    using Source = std::pair<Address, std::optional<Uid>>;
    struct Hash {
        std::size_t operator()(const Source& source) const noexcept {
            const std::size_t user = source.second ? 1 + std::size_t{value(*source.second)} : 0;
            return std::hash<Address>()(source.first) ^ user * 0x9fb21c651e98df25u;
        }
    };
    struct Tries {
        TimePoint since{};
        TimePoint told{};
        std::uint64_t ports = 0;
        std::uint64_t tries = 0;

        bool is_scan() const { return std::popcount(ports) >= many; }
    };

    // First of those that were there for one port only, as forged addresses are.
    void make_room(TimePoint now) {
        std::erase_if(sources_, [&](const auto& entry) {
            return !entry.second.is_scan() || now - entry.second.since >= together;
        });
        if (sources_.size() >= most)
            sources_.clear();
    }

    std::unordered_map<Source, Tries, Hash> sources_;
};

} // namespace ubf
