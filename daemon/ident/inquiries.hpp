// Inquiries for `explain`: ours to other nodes, and those of peers to us. A peer's is a wish of
// people, and takes the main thread; so there are few at a time and in a second, of each peer and
// of all. Pure memory.
#pragma once

#include "daemon/core/event_loop.hpp"
#include "ident/wire.hpp"

#include <cstddef>
#include <functional>
#include <map>
#include <optional>
#include <utility>
#include <vector>

namespace ubf::ident {

class Inquiries {
  public:
    // Nothing: no decision came in time, or none could be asked for.
    using Heard = std::function<void(const std::optional<Decision>&)>;
    struct Asked {
        Inquiry inquiry;
        Path path; // from us to the peer
    };

    static constexpr std::size_t most_asked = 64;
    static constexpr std::size_t most_open = 8; // of peers, at a time
    static constexpr std::size_t most_open_of_one = 2;
    static constexpr unsigned most_a_second = 4;
    static constexpr unsigned most_a_second_of_one = 2;

    // Ours. `heard` is called once, here, in due() or in answered().
    void ask(const Asked& asked, TimePoint until, Heard heard, TimePoint now);
    // Those to send now, for the first time or again.
    std::vector<Asked> due(TimePoint now);
    std::optional<TimePoint> next() const;
    // False: it answers none of ours. path: its datagram's.
    bool answered(const Decision& decision, const Path& path);

    // A peer's: whether to answer it.
    enum class Admission : bool { refused, admitted };
    Admission begin(Nonce nonce, const Address& peer, TimePoint now);
    // It is answered.
    void end(Nonce nonce, const Address& peer);

  private:
    struct Pending {
        Asked asked;
        TimePoint until;
        TimePoint again;
        Clock::duration pause;
        Heard heard;
    };

    std::map<Nonce, Pending> asked_;
    std::map<std::pair<Address, Nonce>, TimePoint> open_; // since when
    TimePoint second_{};
    std::map<Address, unsigned> begun_; // since then
};

} // namespace ubf::ident
