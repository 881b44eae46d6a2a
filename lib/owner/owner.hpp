// The owner of a socket.
#pragma once

#include "base/types.hpp"
#include "label/label.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ubf {

enum class OwnerKind : std::uint8_t {
    unknown,    // no socket, no answer or a bad one: matches nothing
    user,       // a socket that some process made; its uid is the socket's
    kernel,     // a socket of the kernel itself (NFS, tunnels): uid 0, and no process holds it
    outside,    // an address beyond the peers' ranges: nobody to ask
    unready,    // a peer's address whose node does not run ubfd yet: nobody to ask either
    unlisted,   // nobody to ask either, and too near to be outside (policy/beyond.hpp)
    shared,     // sockets of several users fit, and nothing tells which it is: matches nothing
    translated, // an address or port was translated (NAT), and nobody can say whose it was
};

std::string_view to_string(OwnerKind kind);

// The source of a process's credentials, cheapest first; each has a counter.
enum class Method : std::uint8_t {
    socket,         // the uid alone, from the exact inet_diag lookup
    cookie_cache,   // remembered for this socket
    recent,         // a process in which a socket of that uid was found a moment ago
    uid_processes,  // a process of that uid
    all_processes,  // somebody else's process holds it
    user_database,  // groups from the user database, if no process was asked or found
    rdma_connector, // the process that the RDMA subsystem names for a connecting end
    rdma_listener,  // the same for a listening end
    kernel_record, // what the kernel recorded of the process that made the socket listen or connect
    portal,        // a web portal asked for the user; the groups are the user database's
    count_,
};

std::string_view to_string(Method method);

// The program, for people to read.
struct Process {
    Pid pid{};
    std::string
        comm; // as the kernel has it: up to 15 bytes, any byte but 0; escape before printing
    std::uint32_t job = 0; // of Slurm; 0: none that is known
};

// Credentials beyond the uid, searched for only if the uid alone doesn't decide.
struct Credentials {
    // The effective gid. Nothing if the socket's holders differ in it, or none was found: then no
    // group rule can match.
    std::optional<Gid> gid;
    std::vector<Gid> groups; // supplementary
    std::vector<Label> labels;
    Process process;
    Method method = Method::socket;
    // Whether the owner carries exactly these labels. False if the search timed out, the holders
    // differ, or a source failed: then the owner may carry any label.
    bool labels_known = false;
    // The user to whom the uid is subordinate (subuid(5)), if policy.subids holds on that node.
    std::optional<Uid> account{};
    // Root's slurmstepd holds the socket, and nobody else does.
    bool slurmstepd = false;
};

// Whether the word of the node that named an owner counts, by the node's certificate.
enum class Word : std::uint8_t {
    counts,         // also of owners that were found on this node
    no_class,       // the class of the node may not speak for this owner
    no_grant,       // nor may the node without a grant for this user
    no_certificate, // the certificate of the node was revoked: it speaks for nobody
};

struct Owner {
    OwnerKind kind = OwnerKind::unknown;
    Uid uid{}; // of kind user only
    // Nothing: not looked for yet.
    std::optional<Credentials> credentials;
    // As whom a web portal runs, whose socket speaks for the user.
    std::optional<Uid> via{};
    Word word = Word::counts;
    bool may_be_exempt = true; // the class of the node lets exempt users be that

    // A socket of uid 0 for which no process has been searched yet.
    bool may_be_kernel() const { return kind == OwnerKind::user && uid == Uid{0} && !credentials; }

    // The user behind the uid.
    Uid account() const { return credentials ? credentials->account.value_or(uid) : uid; }

    static Owner user(Uid uid) { return {OwnerKind::user, uid, std::nullopt}; }
    static Owner kernel() { return {OwnerKind::kernel, Uid{0}, std::nullopt}; }
    static Owner unready() { return {OwnerKind::unready, {}, std::nullopt}; }
    static Owner outside() { return {OwnerKind::outside, {}, std::nullopt}; }
    static Owner unlisted() { return {OwnerKind::unlisted, {}, std::nullopt}; }
    static Owner shared() { return {OwnerKind::shared, {}, std::nullopt}; }
    static Owner translated() { return {OwnerKind::translated, {}, std::nullopt}; }
};

// Adds the label to the owner's credentials, if they are known.
void carry(Owner& owner, const Label& label);

} // namespace ubf
