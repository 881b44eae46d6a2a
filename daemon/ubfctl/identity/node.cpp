// `ubfctl node` and `ubfctl grant`: a node's own key, its request for a certificate, and the word
// of a node that may grant.
#include "daemon/ubfctl/arguments.hpp"
#include "daemon/ubfctl/command.hpp"
#include "daemon/ubfctl/names.hpp"
#include "daemon/ubfctl/span.hpp"
#include "files.hpp"
#include "identity/grant.hpp"
#include "identity/request.hpp"
#include "identity/roster.hpp"

#include <array>
#include <climits>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <iostream>
#include <sodium.h>
#include <unistd.h>

namespace ubf::ctl {
namespace {

namespace po = boost::program_options;
using identity::Kind;

std::string own_name() {
    std::array<char, HOST_NAME_MAX + 1> name{};
    ::gethostname(name.data(), name.size() - 1);
    return name.data();
}

int keygen(const std::string& file) {
    const identity::NodeKey key(identity::Secret::random());
    auto line = identity::format_node_key(key) + '\n';
    write_new(file, line, Secrecy::secret);
    sodium_memzero(line.data(), line.size());
    std::cout << fmt::format("{}: a new key of this node, {:08x}; it stays here\n", file,
                             static_cast<std::uint32_t>(key.id()));
    return 0;
}

int request(const po::variables_map& given) {
    const auto keys = read_node_key(given["key"].as<std::string>());
    const auto name = given["name"].as<std::string>();
    std::optional<identity::Token> token;
    if (given.contains("token-file")) {
        const auto file = given["token-file"].as<std::string>();
        token = identity::parse_token(read_secret(file));
        if (!token)
            throw FileError(fmt::format("{}: no token in it", file));
    }
    const auto bytes = identity::make_request(name, keys.current, token);
    if (!bytes)
        throw UsageError(fmt::format("node request: '{}' is no node's name: a-z, 0-9, '.', '_', "
                                     "'-'",
                                     name));
    std::cout << identity::armour(Kind::request, *bytes);
    return 0;
}

std::string describe(const identity::Certificate& c) {
    return fmt::format("certificate {} of {}\n  class      {}\n  addresses  {}\n  valid      {} to "
                       "{}\n  key        {:08x}\n  authority  {:08x}\n  may grant  {}\n",
                       static_cast<std::uint64_t>(c.serial), c.name, c.node_class,
                       fmt::join(to_texts(c.addresses), " "), to_date(c.valid.from),
                       to_date(c.valid.until), static_cast<std::uint32_t>(identity::id_of(c.key)),
                       static_cast<std::uint32_t>(c.authority), c.grants ? "yes" : "no");
}

std::string describe_request(identity::Bytes bytes) {
    const auto read = identity::check_request(bytes);
    if (!read)
        return fmt::format("request: {}\n", identity::to_string(read.error()));
    return fmt::format(
        "request of {}\n  key        {:08x}\n  token      {}\n", read->name,
        static_cast<std::uint32_t>(identity::id_of(read->key)),
        read->token ? fmt::format("{:016x}", static_cast<std::uint64_t>(*read->token)) : "none");
}

std::string describe_grant(identity::Bytes bytes) {
    const auto read = identity::parse_grant(bytes);
    if (!read)
        return "grant: malformed\n";
    return fmt::format("grant: uid {} at {}, {} to {}, by certificate {}\n", value(read->uid),
                       read->node, to_date(read->valid.from), to_date(read->valid.until),
                       static_cast<std::uint64_t>(read->granter));
}

// Says what a file states. It checks no authority: ubfd does.
std::string describe(const std::string& file, const std::string& text) {
    if (const auto bytes = identity::unarmour(Kind::certificate, text, identity::max_certificate)) {
        const auto read = identity::parse_certificate(*bytes);
        return read ? describe(*read) : "certificate: malformed\n";
    }
    if (const auto bytes = identity::unarmour(Kind::request, text, identity::max_request))
        return describe_request(*bytes);
    if (const auto bytes = identity::unarmour(Kind::grant, text, identity::max_grant))
        return describe_grant(*bytes);
    const auto keys = identity::parse_node_keys(text);
    if (!keys.keys)
        throw FileError(fmt::format("{}: no key, certificate, request or grant", file));
    auto said = fmt::format("key {:08x}\n", static_cast<std::uint32_t>(keys.keys->current.id()));
    if (keys.keys->previous)
        said += fmt::format("key {:08x}, its predecessor\n",
                            static_cast<std::uint32_t>(keys.keys->previous->id()));
    return said;
}

} // namespace

int node(const Globals&, const Arguments& arguments) {
    const auto what = arguments.empty() ? std::string() : arguments.front();
    const Arguments rest(arguments.empty() ? arguments.begin() : arguments.begin() + 1,
                         arguments.end());
    if (what == "keygen")
        return keygen(file_argument("node keygen", rest, default_node_key).string());
    if (what == "show") {
        const auto file = file_argument("node show", rest, default_certificate).string();
        std::cout << describe(file, read_file(file));
        return 0;
    }
    if (what != "request")
        throw UsageError("node takes one of keygen, request and show; 'ubfctl help node' has more");
    po::options_description options;
    options.add_options()                                                  //
        ("key", po::value<std::string>()->default_value(default_node_key)) //
        ("name", po::value<std::string>()->default_value(own_name()))      //
        ("token-file", po::value<std::string>());
    return request(parse("node request", rest, options));
}

int grant(const Globals&, const Arguments& arguments) {
    po::options_description options;
    options.add_options()                                                             //
        ("key", po::value<std::string>()->default_value(default_node_key))            //
        ("certificate", po::value<std::string>()->default_value(default_certificate)) //
        ("user", po::value<std::string>()->required())                                //
        ("node", po::value<std::string>()->required())                                //
        ("job", po::value<std::uint32_t>()->default_value(0))                         //
        ("for", po::value<std::string>()->default_value("24h"));
    const auto given = parse("grant", arguments, options);
    const auto keys = read_node_key(given["key"].as<std::string>());
    const auto file = given["certificate"].as<std::string>();
    const auto own = identity::parse_certificate(
        read_armoured(Kind::certificate, file, identity::max_certificate));
    if (!own || own->grants != keys.current.signer().verify_key())
        throw FileError(fmt::format("{}: does not let this node grant; have it signed with "
                                    "'ubfctl ca sign --may-grant'",
                                    file));
    constexpr identity::Seconds leeway{60}; // clocks differ
    const auto now = seconds_now();
    identity::Grant grant{
        own->serial,
        Uid{uid_of(given["user"].as<std::string>())},
        given["job"].as<std::uint32_t>(),
        {now - leeway, now + to_span("grant: --for", given["for"].as<std::string>())},
        given["node"].as<std::string>()};
    const auto bytes = identity::sign(grant, keys.current.signer());
    if (!bytes)
        throw UsageError(fmt::format("grant: '{}' is no node's name", grant.node));
    std::cout << identity::armour(Kind::grant, *bytes);
    return 0;
}

} // namespace ubf::ctl
