// This node's identity, and those of its peers: it seals what goes to a peer that has a
// certificate, opens what comes from one, and says whose word counts. Any thread may use it.
//
// Until certificates are required, both ways are open, and each node finds out whether a peer
// seals. If a peer with a known certificate uses the cluster key, a node tells it, once a second at
// most, that it seals. A peer that is not in the roster is sent the own certificate.
#pragma once

#include "base/guarded.hpp"
#include "daemon/core/event_loop.hpp"
#include "daemon/core/rate.hpp"
#include "daemon/ident/bounded_peers.hpp"
#include "daemon/ident/grant_book.hpp"
#include "daemon/ident/peer_cookies.hpp"
#include "daemon/ident/stamp_keys.hpp"
#include "ident/sealed.hpp"
#include "ident/socket.hpp"
#include "identity/roster.hpp"
#include "identity/vouching.hpp"
#include "owner/owner.hpp"

#include <array>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace ubf::ident {

inline Milliseconds wall_now() {
    return std::chrono::duration_cast<Milliseconds>(
        std::chrono::system_clock::now().time_since_epoch());
}

class Identities {
  public:
    struct Clocks {
        ReadClock steady = Clock::now;                 // for what passes between datagrams
        std::function<Milliseconds()> wall = wall_now; // by which certificates are valid

        identity::Seconds seconds() const {
            return std::chrono::duration_cast<identity::Seconds>(wall());
        }
    };
    struct Own {
        identity::NodeKeys keys;
        std::vector<std::uint8_t> certificate; // signed, as peers get it
        identity::Certificate says;
        identity::Authorities authorities;
        std::map<std::string, identity::ClassRule, std::less<>> classes;
        bool required = false; // the cluster key proves nobody
        Clocks clocks{};

        // nullptr if there is no such class.
        const identity::ClassRule* rule_of(const std::string& node_class) const {
            const auto found = classes.find(node_class);
            return found == classes.end() ? nullptr : &found->second;
        }
    };
    // How a peer was proven last.
    struct Proof {
        bool by_certificate = false;
        identity::Serial serial{};
        std::string name{};
        std::string node_class{};
    };
    enum class Why : std::uint8_t {
        question, // an answer is due: without one, the peer may not seal any more
        reply,    // to a sealed datagram
        clear_reply,
        unasked,
    };

    Identities(Own own, identity::Roster roster);

    const Own& own() const { return own_; }
    std::shared_ptr<const identity::Roster> roster() const { return book_.lock()->roster; }
    void set_roster(identity::Roster roster);
    // Those of the users with jobs here, which go along with what peers are told of these users.
    void set_grants(GrantBook::Own grants) { book_.lock()->grants.set_own(std::move(grants)); }

    // Seals the datagram as encode() writes one. Nothing: it goes under the cluster key. If the
    // peer's certificate is needed and unknown, the bytes ask for it, and the datagram must come
    // again.
    std::optional<std::span<const std::uint8_t>> write(std::span<std::uint8_t> out,
                                                       const Datagram& datagram, std::size_t& first,
                                                       const Path& path, Why why);
    Result<Datagram, Rejection> read(const Received& received);
    // The consequence of an introduction.
    struct Introduced {
        bool counts = false; // the certificate is known now; if not, too many came
        bool answer = false; // by introduce_to(): the peer asks for that, or is to be asked
        bool ask = false;    // in the answer
        PeerCookie theirs{};
    };
    // Learns the certificate, if it is good. Anybody may have sent it: no state of the peer is lost
    // by it. A check takes time, so there are few a second. A peer that sent the cookie back has
    // checks of its own, and no flood of others takes them.
    Result<Introduced, Rejection> learn(const Received& received);
    // Whether it is sealed for a key that this node does not have, or not any more.
    bool is_for_another_key(std::span<const std::uint8_t> bytes) const;
    // To be sent to a peer that does not seal, or whose key is unknown; nothing if that was done a
    // moment ago.
    std::optional<std::span<const std::uint8_t>> greet(std::span<std::uint8_t> out,
                                                       const Path& path, bool asks);
    // asks: for the peer's certificate. sent_back: the peer's cookie.
    std::span<const std::uint8_t> introduce_to(const Address& peer, std::span<std::uint8_t> out,
                                               bool asks, PeerCookie sent_back = {}) const;

    // Notes how far the word of a node counts for the owner that it names. by: the node's
    // certificate, by which it sealed the answer.
    void judge(const CertificatePtr& by, Owner& owner) const;
    // The same of what the node at this address sealed before; by its certificate of now.
    void judge_again(const Address& address, Owner& owner) const;
    Proof proof(const Address& address) const;

    // The peer has answered an open question, sealed, and stated this time: no replay could. Its
    // clock may have been set back.
    void answered(const Address& address, Milliseconds stated);

    // Keys for stamps go there from now on, for the roster that holds now; nullptr: nowhere.
    void set_stamps(std::shared_ptr<StampKeys> stamps);
    // The peer asked or answered, sealed, about a flow with its end at this address: `node` itself,
    // or one that the configuration maps to it.
    void note_end(const Address& node, const Address& end);
    // It answered that the flow is this user's.
    void note_word(const Address& node, const Address& end, Uid uid) const;
    // Whether the certificate by which the peer was proven is revoked, and it has no other.
    bool is_barred(const Address& address) const;

    static constexpr std::size_t most_peers = 65536;

  private:
    using Known = CertificatePtr;

    // The secret of a pair, and the last key in each direction. Anybody can make the node find one:
    // it proves nothing.
    struct Pair {
        identity::KeyId mine{};
        identity::KeyId theirs{};
        identity::PublicKey their_key{};
        identity::Secret shared;
        struct Derived {
            identity::Epoch epoch{};
            identity::Secret key;
        };
        std::optional<Derived> out{};
        std::optional<Derived> in{};
        std::unique_ptr<StampKeys::Epochs> stamps{}; // few peers have them

        const StampKeys::Epochs& stamping(const identity::NodeKey& own, Milliseconds wall);
    };
    // By which keys the peer sealed last what opened.
    struct Used {
        identity::KeyId mine{};
        identity::PublicKey theirs{};
        bool operator==(const Used&) const = default;
    };
    struct Peer {
        std::vector<Known> introduced{}; // by the peer itself: the two newest, the newest first
        std::vector<Pair> pairs{};       // few: two keys of ours, and its certificates
        std::optional<Used> used{};
        Milliseconds newest{}; // the latest time that it stated; a replay states none later
        Known certificate{};   // the one that was used last; until there is another roster
        std::optional<identity::Serial> proven{}; // by what it sealed; it seals
        std::optional<TimePoint> waits_since{};   // a question, for an answer
        TimePoint greeted{};
        std::uint64_t stamps_told = 0; // Book::stamps_set, when they got this peer's
        Rate granting{};
        Rate sent_back{}; // certificates with our cookie

        // Whether it gets a greeting now. between: such greetings.
        bool take_greeting(TimePoint now, std::chrono::seconds between);
        // nullptr if that is no key.
        Pair* pair_with(const identity::NodeKey& mine, const identity::PublicKey& theirs);
        // Whether a question has waited for an answer so long that it may have changed its ways.
        bool is_overdue(Why why, TimePoint now);
        bool shall_get_sealed(Why why) const;
    };
    struct Nonces {
        std::array<identity::SealNonce, 32> drawn{};
        std::size_t left = 0;
        identity::SealNonce draw();
    };
    struct Book {
        std::shared_ptr<const identity::Roster> roster;
        GrantBook grants{};
        BoundedPeers<Peer> peers{most_peers};
        Nonces nonces{};
        Rate learning{};
        std::shared_ptr<StampKeys> stamps{};
        std::uint64_t stamps_set = 0; // so often

        bool may_be_introduced(const Address& address,
                               const identity::Certificate& certificate) const;
    };

    struct Sealing {
        Envelope envelope;
        identity::SealNonce nonce;
        identity::Secret key;
    };

    static std::vector<Known> known(const Book& book, const Peer* peer, const Address& address,
                                    identity::Seconds now);
    static Known usable(const Book& book, Peer& peer, const Address& address,
                        identity::Seconds now);
    static void use_next(const Book& book, Peer& peer, const Address& address,
                         identity::Seconds now);
    static bool is_known(const Book& book, const Peer* peer,
                         const identity::Certificate& certificate);
    std::chrono::seconds between_greetings(const Book& book, const Peer& peer,
                                           const Address& address) const;
    static void remember(const Book& book, const Address& address, Peer& peer, Known certificate,
                         identity::Seconds now);
    static Known find(const Book& book, Peer& peer, const Address& address, identity::KeyId key,
                      identity::Seconds now);
    std::optional<Sealing> prepare(Book& book, Peer& peer, const identity::Certificate& theirs,
                                   Milliseconds time) const;
    struct Opening {
        Known theirs;
        const identity::NodeKey* mine;
        std::shared_ptr<const identity::Roster> roster; // by which the certificate was found
    };
    bool prove(const Address& address, const Opening& by, const Opened& opened);
    static Known proven(const Book& book, const Address& address, identity::Seconds now);
    std::optional<StampKeys::Pair> stamps_of(Book& book, const Address& node) const;
    std::optional<identity::Seconds> word_counts_until(const Book& book, const Address& node,
                                                       Uid uid) const;

    const Own own_;
    const PeerCookies cookies_;
    Guarded<Book> book_;
};

} // namespace ubf::ident
