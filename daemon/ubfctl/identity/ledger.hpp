// The authority's folder: the signing key under its passphrase, and the ledger of what it signed.
// Only one ubfctl at a time changes it.
#pragma once

#include "base/unique_fd.hpp"
#include "identity/certificate.hpp"
#include "identity/request.hpp"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace ubf::ctl {

// The content of a certificate to be, beside the node's keys.
struct Terms {
    std::string name;
    std::string node_class;
    std::vector<Prefix> addresses;
    bool may_grant = false;
};

class Ledger {
  public:
    struct Entry {
        std::vector<std::uint8_t> bytes;
        identity::Certificate certificate; // the same, read
        bool revoked = false;
    };
    struct OpenToken {
        identity::Token token;
        Terms terms;
        identity::Seconds until{};
    };
    static constexpr std::size_t most_tokens = 4096;

    // Makes folder, key and empty ledger. Throws FileError if they are there.
    static void make(const std::filesystem::path& folder, const std::string& armoured_key);
    // Throws FileError.
    explicit Ledger(const std::filesystem::path& folder);

    std::filesystem::path key_file() const { return folder_ / "authority.key"; }
    const std::vector<Entry>& entries() const { return entries_; }
    std::uint64_t last_roster() const { return last_roster_; }

    identity::Serial next_serial() { return identity::Serial{next_serial_++}; }
    std::uint64_t next_roster() { return ++last_roster_; }
    void add(const std::vector<std::uint8_t>& certificate);
    void revoke(identity::Serial serial);
    // Without those that are over. Throws FileError if there are too many.
    void add(OpenToken token, identity::Seconds now);
    // The token, which is used up. Nothing if there is none of that number, or it is over.
    std::optional<OpenToken> take(identity::TokenNumber number, identity::Seconds now);
    void save() const;

  private:
    void read(const std::string& text);
    void forget_tokens(identity::Seconds now); // those that are over

    std::filesystem::path folder_;
    UniqueFd lock_;
    std::uint64_t next_serial_ = 1;
    std::uint64_t last_roster_ = 0;
    std::vector<Entry> entries_; // by serial
    std::vector<OpenToken> tokens_;
};

} // namespace ubf::ctl
