// `ubfctl ca`: the authority signs certificates and rosters, and revokes. Its key never leaves this
// machine, and no program that runs all the time has it.
#include "daemon/ubfctl/arguments.hpp"
#include "daemon/ubfctl/command.hpp"
#include "daemon/ubfctl/span.hpp"
#include "files.hpp"
#include "identity/roster.hpp"
#include "identity/sealed_key.hpp"
#include "ledger.hpp"
#include "node_list.hpp"
#include "passphrase.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <iostream>
#include <nlohmann/json.hpp>

namespace ubf::ctl {
namespace {

namespace po = boost::program_options;
using identity::Kind;
using identity::Seconds;

// A node's clock may be a little behind.
constexpr Seconds leeway{300};
// A node's clock may be far behind, as one without a battery is at its boot. A revoked certificate
// stays on the list for so long after its end.
constexpr Seconds revoked_for = std::chrono::hours(24 * 365);

using Words = std::vector<std::string>;

po::options_description options() {
    po::options_description all;
    all.add_options()                                               //
        ("ca", po::value<std::string>()->default_value(default_ca)) //
        ("passphrase-file", po::value<std::string>())               //
        ("name", po::value<std::string>())                          //
        ("class", po::value<std::string>()->default_value(""))      //
        ("address", po::value<Words>()->composing())                //
        ("for", po::value<std::string>())                           //
        ("may-grant", po::bool_switch())                            //
        ("roster", po::value<std::string>())                        //
        ("slurm", po::value<std::string>())                         //
        ("requests", po::value<std::string>()->default_value("."))  //
        ("out", po::value<std::string>())                           //
        ("word", po::value<Words>()->default_value(Words(), "")->composing());
    return all;
}

std::optional<std::string> text_of(const po::variables_map& given, const char* option) {
    if (!given.contains(option))
        return std::nullopt;
    return given[option].as<std::string>();
}

const Words& words_of(const po::variables_map& given) {
    return given["word"].as<Words>();
}

identity::SigningKey open_authority(const Ledger& ledger, const po::variables_map& given) {
    const auto bytes =
        read_armoured(Kind::signing_key, ledger.key_file(), identity::sealed_key_size);
    const auto passphrase = ask_passphrase(text_of(given, "passphrase-file"), Asked::once);
    auto key = identity::open_key(bytes, passphrase.text());
    if (!key)
        throw FileError(fmt::format("{}: {}", ledger.key_file().string(),
                                    key.error() == identity::Fault::forged ? "not the passphrase"
                                                                           : "not a signing key"));
    return *key;
}

std::vector<Prefix> addresses_of(const po::variables_map& given) {
    std::vector<Prefix> prefixes;
    if (given.contains("address"))
        for (const auto& text : given["address"].as<Words>()) {
            const auto prefix = Prefix::parse(text);
            if (!prefix)
                throw UsageError(fmt::format("ca: --address '{}' is no address and no range like "
                                             "10.0.0.0/24",
                                             text));
            prefixes.push_back(*prefix);
        }
    return identity::in_order(std::move(prefixes));
}

Terms terms_of(const po::variables_map& given, const std::string& name) {
    Terms terms{name, given["class"].as<std::string>(), addresses_of(given),
                given["may-grant"].as<bool>()};
    if (!identity::is_name(terms.node_class, identity::max_class))
        throw UsageError("ca: which --class has the node? a-z, 0-9, '.', '_', '-'");
    if (terms.addresses.empty() || terms.addresses.size() > identity::max_prefixes)
        throw UsageError(fmt::format("ca: a node has 1 to {} addresses; give each by --address",
                                     identity::max_prefixes));
    return terms;
}

Seconds span_of(const po::variables_map& given, std::string_view otherwise) {
    return to_span("ca: --for", text_of(given, "for").value_or(std::string(otherwise)));
}

struct Read {
    std::vector<std::uint8_t> bytes;
    identity::Request request;
};

Read read_request(const std::filesystem::path& file) {
    auto bytes = read_armoured(Kind::request, file, identity::max_request);
    auto request = identity::check_request(bytes);
    if (!request)
        throw FileError(fmt::format("{}: the request is {}; make it again with 'ubfctl node "
                                    "request'",
                                    file.string(), identity::to_string(request.error())));
    return {std::move(bytes), std::move(*request)};
}

std::vector<std::uint8_t> sign_one(Ledger& ledger, const identity::SigningKey& authority,
                                   const identity::Request& request, const Terms& terms,
                                   Seconds lasts) {
    identity::Certificate certificate;
    certificate.name = terms.name;
    certificate.node_class = terms.node_class;
    certificate.addresses = terms.addresses;
    certificate.key = request.key;
    if (terms.may_grant)
        certificate.grants = request.verify_key;
    certificate.serial = ledger.next_serial();
    const auto now = seconds_now();
    certificate.valid = {now - leeway, now + lasts};
    auto bytes = identity::sign(certificate, authority);
    if (!bytes)
        throw FileError(fmt::format("{}: the certificate can't be made", terms.name));
    ledger.add(*bytes);
    return std::move(*bytes);
}

int init(const po::variables_map& given) {
    const std::filesystem::path folder = given["ca"].as<std::string>();
    if (std::filesystem::exists(folder / "authority.key"))
        throw FileError(fmt::format("{}: there already, and left as it is",
                                    (folder / "authority.key").string()));
    const auto passphrase = ask_passphrase(text_of(given, "passphrase-file"), Asked::twice);
    const auto seed = identity::Secret::random();
    const auto sealed = identity::seal_key(seed, passphrase.text());
    if (!sealed)
        throw FileError("the key takes 256 MB of memory to seal, which this machine lacks");
    Ledger::make(folder, identity::armour(Kind::signing_key, *sealed));
    std::cout << identity::format_authority(identity::SigningKey(seed).verify_key()) << '\n';
    return 0;
}

// The terms of the token, which is used up whether or not its holder asks for the right name.
Terms take_token(Ledger& ledger, const Read& read) {
    const auto open = ledger.take(*read.request.token, seconds_now());
    ledger.save();
    if (!open)
        throw FileError("the request's token is unknown, used or over; make another with 'ubfctl "
                        "ca token'");
    if (!identity::is_made_with(read.bytes, open->token))
        throw FileError("the request was not made with the token that it names");
    if (open->terms.name != read.request.name)
        throw FileError(fmt::format("the token is for {}, and the request for {}", open->terms.name,
                                    read.request.name));
    return open->terms;
}

int sign_requests(const po::variables_map& given) {
    const auto& files = words_of(given);
    if (files.size() != 1)
        throw UsageError("ca sign: which request? A file, or - for what comes in");
    const auto read = read_request(files.front());
    Ledger ledger(given["ca"].as<std::string>());
    const auto authority = open_authority(ledger, given);
    const auto name = text_of(given, "name").value_or(read.request.name);
    if (name != read.request.name)
        throw FileError(
            fmt::format("{}: a request of {}, not of {}", files.front(), read.request.name, name));
    const auto terms =
        read.request.token ? take_token(ledger, read) : terms_of(given, read.request.name);
    const auto bytes = sign_one(ledger, authority, read.request, terms, span_of(given, "365d"));
    ledger.save();
    const auto text = identity::armour(Kind::certificate, bytes);
    if (const auto out = text_of(given, "out"))
        write_new(*out, text, Secrecy::open);
    else
        std::cout << text;
    return 0;
}

bool is_signed(const Ledger& ledger, const identity::Request& request, const Terms& terms,
               Seconds now) {
    return std::ranges::any_of(ledger.entries(), [&](const Ledger::Entry& entry) {
        const auto& known = entry.certificate;
        return !entry.revoked && known.key == request.key && known.name == terms.name &&
               known.node_class == terms.node_class && known.addresses == terms.addresses &&
               !known.valid.fault(now);
    });
}

// The certificate of a node on the list, by its request; nothing if it has one. The list and the
// requests outlive a revocation, so they get a revoked key no other certificate.
std::optional<std::vector<std::uint8_t>> sign_listed(Ledger& ledger,
                                                     const identity::SigningKey& authority,
                                                     const std::filesystem::path& file,
                                                     const Terms& terms, Seconds lasts) {
    const auto request = read_request(file).request;
    if (request.name != terms.name)
        throw FileError(fmt::format("{}: a request of {}", file.string(), request.name));
    if (is_signed(ledger, request, terms, seconds_now()))
        return std::nullopt;
    for (const auto& entry : ledger.entries())
        if (entry.revoked && entry.certificate.key == request.key)
            throw FileError(fmt::format(
                "{}: its key was revoked with certificate {}; make another key on the node, or "
                "sign this request by itself",
                file.string(), static_cast<std::uint64_t>(entry.certificate.serial)));
    return sign_one(ledger, authority, request, terms, lasts);
}

// Signs the request of each node on the list, unless that was done. A node's bad request keeps no
// other node waiting.
int sign_all(const po::variables_map& given) {
    const auto node_class = given["class"].as<std::string>();
    const auto list = text_of(given, "roster");
    const auto nodes = list ? parse_node_list(read_file(*list), *list, node_class)
                            : nodes_of_slurm_conf(given["slurm"].as<std::string>(), node_class);
    Ledger ledger(given["ca"].as<std::string>());
    const auto authority = open_authority(ledger, given);
    const auto lasts = span_of(given, "365d");
    const std::filesystem::path folder = given["requests"].as<std::string>();
    std::vector<std::pair<std::string, std::vector<std::uint8_t>>> fresh; // name, certificate
    std::vector<std::string> missing;
    std::vector<std::string> bad;
    for (const auto& terms : nodes) {
        const auto file = folder / (terms.name + ".req");
        if (!std::filesystem::exists(file)) {
            missing.push_back(terms.name);
            continue;
        }
        try {
            if (auto bytes = sign_listed(ledger, authority, file, terms, lasts))
                fresh.emplace_back(terms.name, std::move(*bytes));
        } catch (const FileError& error) {
            bad.emplace_back(error.what());
        }
    }
    ledger.save(); // first, so that there is no certificate that the ledger could not revoke
    if (const auto out = text_of(given, "out"))
        for (const auto& [name, bytes] : fresh)
            replace_with(std::filesystem::path(*out) / (name + ".crt"),
                         identity::armour(Kind::certificate, bytes));
    std::cout << fmt::format("signed {} of {} nodes\n", fresh.size(), nodes.size());
    if (!missing.empty())
        std::cout << fmt::format("no request of {}\n", fmt::join(missing, " "));
    for (const auto& mistake : bad)
        std::cout << mistake << '\n';
    return missing.empty() && bad.empty() ? 0 : 1;
}

int make_token(const po::variables_map& given) {
    const auto name = text_of(given, "name").value_or("");
    if (!identity::is_name(name, identity::max_name))
        throw UsageError("ca token: for which node? Give its --name");
    const auto terms = terms_of(given, name);
    Ledger ledger(given["ca"].as<std::string>());
    const auto token = identity::Token::random();
    const auto now = seconds_now();
    ledger.add(Ledger::OpenToken{token, terms, now + span_of(given, "1h")}, now);
    ledger.save();
    std::cout << identity::format_token(token) << '\n';
    return 0;
}

int revoke_words(const po::variables_map& given) {
    if (words_of(given).empty())
        throw UsageError("ca revoke: which serials, or names of nodes?");
    Ledger ledger(given["ca"].as<std::string>());
    for (const auto& word : words_of(given)) {
        std::vector<identity::Serial> serials;
        for (const auto& entry : ledger.entries())
            if (!entry.revoked &&
                (entry.certificate.name == word ||
                 std::to_string(static_cast<std::uint64_t>(entry.certificate.serial)) == word))
                serials.push_back(entry.certificate.serial);
        if (serials.empty())
            throw FileError(fmt::format("'{}' is no serial and no name of a certificate that "
                                        "counts; 'ubfctl ca list' has them",
                                        word));
        for (const auto serial : serials) {
            ledger.revoke(serial);
            std::cout << fmt::format("revoked {}\n", static_cast<std::uint64_t>(serial));
        }
    }
    ledger.save();
    std::cout << "nodes refuse them when they have the next roster: 'ubfctl ca roster'\n";
    return 0;
}

std::string state_of(const Ledger::Entry& entry, Seconds now) {
    if (entry.revoked)
        return "revoked";
    const auto fault = entry.certificate.valid.fault(now);
    return fault ? std::string(identity::to_string(*fault)) : "valid";
}

int list_all(const Globals& globals, const po::variables_map& given) {
    const Ledger ledger(given["ca"].as<std::string>());
    auto all = nlohmann::json::array();
    for (const auto& entry : ledger.entries()) {
        const auto& c = entry.certificate;
        const auto addresses = to_texts(c.addresses);
        const auto serial = static_cast<std::uint64_t>(c.serial);
        const auto state = state_of(entry, seconds_now());
        if (globals.json)
            all.push_back({{"serial", serial},
                           {"name", c.name},
                           {"class", c.node_class},
                           {"addresses", addresses},
                           {"may_grant", c.grants.has_value()},
                           {"until", to_date(c.valid.until)},
                           {"state", state}});
        else
            std::cout << fmt::format("{:>6}  {:<8}  {}  {:<12}  {}{}  {}\n", serial, state,
                                     to_date(c.valid.until), c.node_class, c.name,
                                     c.grants ? " (may grant)" : "", fmt::join(addresses, " "));
    }
    if (globals.json)
        std::cout << all.dump(2) << '\n';
    return 0;
}

int make_roster(const po::variables_map& given) {
    if (words_of(given).size() != 1)
        throw UsageError("ca roster: into which file?");
    const auto& file = words_of(given).front();
    Ledger ledger(given["ca"].as<std::string>());
    const auto authority = open_authority(ledger, given);
    const auto now = seconds_now();
    std::vector<std::vector<std::uint8_t>> certificates;
    std::vector<identity::Serial> revoked;
    for (const auto& entry : ledger.entries()) {
        const auto until = entry.certificate.valid.until;
        if (entry.revoked && now < until + revoked_for)
            revoked.push_back(entry.certificate.serial);
        else if (!entry.revoked && now < until)
            certificates.push_back(entry.bytes);
    }
    const auto number = ledger.next_roster();
    const auto roster =
        identity::sign_roster(number, now, certificates, std::move(revoked), authority);
    if (!roster)
        throw FileError(fmt::format("more than {} certificates", identity::max_listed));
    ledger.save(); // first, so that no two rosters have one number
    replace_with(file, identity::armour(Kind::roster, *roster));
    std::cout << fmt::format("{}: roster {} of {} certificates\n", file, number,
                             certificates.size());
    return 0;
}

} // namespace

int ca(const Globals& globals, const Arguments& arguments) {
    const auto what = arguments.empty() ? std::string() : arguments.front();
    const Arguments rest(arguments.empty() ? arguments.begin() : arguments.begin() + 1,
                         arguments.end());
    po::positional_options_description positions;
    positions.add("word", -1);
    const auto given = parse("ca", rest, options(), positions);
    if (what == "init")
        return init(given);
    if (what == "sign")
        return given.contains("roster") || given.contains("slurm") ? sign_all(given)
                                                                   : sign_requests(given);
    if (what == "token")
        return make_token(given);
    if (what == "revoke")
        return revoke_words(given);
    if (what == "list")
        return list_all(globals, given);
    if (what == "roster")
        return make_roster(given);
    throw UsageError("ca takes one of init, sign, token, revoke, list and roster; 'ubfctl help ca' "
                     "has more");
}

} // namespace ubf::ctl
