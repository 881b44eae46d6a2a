// The peers, as those who ask them see it. The asker is the real one; tests have peers in memory.
#pragma once

#include "daemon/core/event_loop.hpp"
#include "daemon/ident/guard.hpp"
#include "ident/wire.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

namespace ubf::ident {

class Peers {
  public:
    // The end of a question; `uid` alone leaves it open.
    enum class Heard : std::uint8_t {
        owner,   // of the flow's source, as its node says
        uid,     // a user, whose credentials follow
        busy,    // a user, with the credentials that the node found in the time it had
        late,    // a user, whose credentials did not come by the deadline
        nothing, // no answer by the deadline
        unsent,  // the question could not be sent, for want of room in the kernel
    };
    // owner: unknown, if only `nothing` or `unsent` is heard.
    using Handler =
        std::function<void(const Flow& flow, Heard heard, const Owner& owner, TimePoint now)>;

    virtual ~Peers() = default;

    // The handler is called for every question, later. To be set before the first one.
    virtual void set_handler(Handler handler) = 0;
    virtual void set_terms(std::shared_ptr<const Terms> terms, Milliseconds deadline) = 0;
    // Who owns the source of this flow? Questions are sent by flush(), several to a datagram.
    // asked: the flow as the peer knows it. interface: the packet's, for link-local addresses.
    virtual Nonce ask(const Flow& flow, const Flow& asked, Role role, std::optional<Uid> same_as,
                      std::uint32_t interface, std::optional<Gid> group, TimePoint now) = 0;
    virtual void flush(TimePoint now) = 0;
    // The handler is not called for that question any more.
    virtual void withdraw(Nonce nonce) = 0;
    virtual void on_time(TimePoint now) = 0; // to be called at next()
    virtual std::optional<TimePoint> next() const = 0;
    // Whether further questions had better wait: so many are open that peers would only queue them.
    virtual bool is_pressed() const = 0;
};

} // namespace ubf::ident
