#include "ledger.hpp"

#include "base/replace_file.hpp"
#include "files.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <sys/file.h>
#include <sys/stat.h>

namespace ubf::ctl {
namespace {

using nlohmann::json;

std::filesystem::path ledger_of(const std::filesystem::path& folder) {
    return folder / "ledger.json";
}

json to_json(const Ledger::OpenToken& open) {
    return {{"token", identity::format_token(open.token)},
            {"name", open.terms.name},
            {"class", open.terms.node_class},
            {"addresses", to_texts(open.terms.addresses)},
            {"may_grant", open.terms.may_grant},
            {"until", open.until.count()}};
}

Ledger::OpenToken to_token(const json& object) {
    const auto token = identity::parse_token(object.at("token").get<std::string>());
    if (!token)
        throw FileError("not a token");
    Ledger::OpenToken open{*token, {}, identity::Seconds(object.at("until").get<std::int64_t>())};
    open.terms.name = object.at("name").get<std::string>();
    open.terms.node_class = object.at("class").get<std::string>();
    open.terms.may_grant = object.at("may_grant").get<bool>();
    for (const auto& text : object.at("addresses")) {
        const auto prefix = Prefix::parse(text.get<std::string>());
        if (!prefix)
            throw FileError("not an address");
        open.terms.addresses.push_back(*prefix);
    }
    return open;
}

} // namespace

void Ledger::make(const std::filesystem::path& folder, const std::string& armoured_key) {
    if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST)
        throw FileError(fmt::format("{}: making it: {}", folder.string(), std::strerror(errno)));
    write_new(folder / "authority.key", armoured_key, Secrecy::secret);
    write_new(ledger_of(folder), json{{"next_serial", 1}, {"roster", 0}}.dump() + "\n",
              Secrecy::secret);
}

Ledger::Ledger(const std::filesystem::path& folder)
  : folder_(folder)
  , lock_(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
    if (!lock_)
        throw FileError(fmt::format("{}: {}; 'ubfctl ca init' makes it", folder.string(),
                                    std::strerror(errno)));
    while (::flock(lock_.get(), LOCK_EX) != 0)
        if (errno != EINTR)
            throw FileError(
                fmt::format("{}: locking it: {}", folder.string(), std::strerror(errno)));
    constexpr std::size_t most = std::size_t{256} << 20;
    const auto file = ledger_of(folder);
    try {
        read(read_file(file, most));
    } catch (const json::exception& error) {
        throw FileError(fmt::format("{}: {}", file.string(), error.what()));
    }
}

void Ledger::read(const std::string& text) {
    const auto all = json::parse(text);
    next_serial_ = all.at("next_serial").get<std::uint64_t>();
    last_roster_ = all.at("roster").get<std::uint64_t>();
    for (const auto& object : all.value("certificates", json::array())) {
        const auto bytes = identity::unarmour(identity::Kind::certificate,
                                              object.at("certificate").get<std::string>(),
                                              identity::max_certificate);
        if (!bytes)
            throw FileError("the ledger: not a certificate");
        add(*bytes);
        entries_.back().revoked = object.at("revoked").get<bool>();
    }
    for (const auto& object : all.value("tokens", json::array()))
        tokens_.push_back(to_token(object));
}

void Ledger::add(const std::vector<std::uint8_t>& certificate) {
    auto parsed = identity::parse_certificate(certificate);
    if (!parsed)
        throw FileError("the ledger: a certificate can't be read");
    entries_.push_back({certificate, std::move(*parsed), false});
}

void Ledger::revoke(identity::Serial serial) {
    for (auto& entry : entries_)
        if (entry.certificate.serial == serial)
            entry.revoked = true;
}

void Ledger::forget_tokens(identity::Seconds now) {
    std::erase_if(tokens_, [&](const OpenToken& open) { return open.until <= now; });
}

void Ledger::add(OpenToken token, identity::Seconds now) {
    forget_tokens(now);
    if (tokens_.size() == most_tokens)
        throw FileError(
            fmt::format("{} tokens are open already; wait until some are over", most_tokens));
    tokens_.push_back(std::move(token));
}

std::optional<Ledger::OpenToken> Ledger::take(identity::TokenNumber number, identity::Seconds now) {
    forget_tokens(now);
    const auto found = std::ranges::find_if(
        tokens_, [&](const OpenToken& open) { return open.token.number == number; });
    if (found == tokens_.end())
        return std::nullopt;
    auto token = std::move(*found);
    tokens_.erase(found);
    return token;
}

void Ledger::save() const {
    json certificates = json::array();
    for (const auto& entry : entries_)
        certificates.push_back(
            {{"serial", static_cast<std::uint64_t>(entry.certificate.serial)},
             {"name", entry.certificate.name},
             {"revoked", entry.revoked},
             {"certificate", identity::armour(identity::Kind::certificate, entry.bytes)}});
    json tokens = json::array();
    for (const auto& token : tokens_)
        tokens.push_back(to_json(token));
    const json all{{"next_serial", next_serial_},
                   {"roster", last_roster_},
                   {"certificates", std::move(certificates)},
                   {"tokens", std::move(tokens)}};
    if (const auto error = replace_file(ledger_of(folder_), all.dump(1) + "\n", Durable::yes))
        throw FileError(
            fmt::format("{}: writing it: {}", ledger_of(folder_).string(), error.message()));
}

} // namespace ubf::ctl
