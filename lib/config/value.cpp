#include "config/value.hpp"

#include "base/escape.hpp"
#include "base/text.hpp"
#include "base/unix_address.hpp"
#include "config/protocol_names.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <grp.h>
#include <limits>
#include <net/if.h>
#include <netinet/in.h>
#include <optional>
#include <pwd.h>
#include <span>
#include <utility>

namespace ubf::config {
namespace {

// "10", "10-20"; nothing for a range that runs backwards.
template<typename T>
std::optional<Range<T>> range(std::string_view text) {
    const auto dash = text.find('-');
    const auto first = number<T>(text.substr(0, dash));
    const auto last = dash == std::string_view::npos ? first : number<T>(text.substr(dash + 1));
    if (!first || !last || *first > *last)
        return std::nullopt;
    return Range<T>{*first, *last};
}

// Both database calls fail with ERANGE if the buffer is too small.
template<typename Entry, typename Call>
std::optional<Entry> look_up(std::vector<char>& buffer, Call call) {
    constexpr std::size_t most = std::size_t{1} << 20;
    Entry entry{};
    Entry* found = nullptr;
    buffer.resize(4096);
    while (call(&entry, buffer.data(), buffer.size(), &found) == ERANGE && buffer.size() < most)
        buffer.resize(buffer.size() * 2);
    if (found == nullptr)
        return std::nullopt;
    return entry;
}

std::optional<Uid> uid_of(const std::string& name) {
    std::vector<char> buffer;
    const auto entry =
        look_up<passwd>(buffer, [&](auto... rest) { return ::getpwnam_r(name.c_str(), rest...); });
    if (!entry)
        return std::nullopt;
    return Uid{entry->pw_uid};
}

std::optional<Gid> gid_of(const std::string& name) {
    std::vector<char> buffer;
    const auto entry =
        look_up<::group>(buffer, [&](auto... rest) { return ::getgrnam_r(name.c_str(), rest...); });
    if (!entry)
        return std::nullopt;
    return Gid{entry->gr_gid};
}

bool is_number_like(std::string_view text) {
    return !text.empty() && text.find_first_not_of("0123456789-") == std::string_view::npos;
}

std::optional<ProtocolPorts> to_protocol_ports(std::string_view ports) {
    const auto slash = ports.find('/');
    ProtocolPorts result;
    if (slash != std::string_view::npos) {
        const auto protocol = ports.substr(0, slash);
        ports.remove_prefix(slash + 1);
        result.tcp = protocol == "tcp";
        result.udp = protocol == "udp";
    }
    const auto parsed = range<Port>(ports);
    if (!parsed || (!result.tcp && !result.udp))
        return std::nullopt;
    result.ports = *parsed;
    return result;
}

// Removes "@ADDRESS" from the text, if present.
std::optional<Prefix> split_place(const Value& value, std::string& given) {
    const auto at = given.rfind('@');
    if (at == std::string::npos)
        return std::nullopt;
    const auto place = Prefix::parse(std::string_view(given).substr(at + 1));
    if (!place)
        value.fail(
            fmt::format("'{}': what stands behind the @ is no address and no range of them; write "
                        "it like \"{}@10.0.0.1\", \"@10.0.0.0/28\" or \"@fd00::/64\", without "
                        "bits behind the prefix",
                        escape(given), escape(std::string_view(given).substr(0, at))));
    if (place->length() >= 10 && place->first().is_link_local())
        value.fail(
            fmt::format("'{}': a link-local address is another node's on each link; write one "
                        "that is the node's own in the whole cluster",
                        escape(given)));
    given.resize(at);
    return place;
}

} // namespace

void fail_at(const std::string& name, const toml::source_region& where, std::string_view what) {
    // A drop-in has a name of its own.
    throw ConfigError(fmt::format("{}:{}:{}: {}", where.path ? *where.path : name, where.begin.line,
                                  where.begin.column, what),
                      where.begin.line);
}

void fail_at(const std::string& name, const toml::table& root, std::string_view section,
             std::string_view key, std::string_view what) {
    if (const auto* table = root.get_as<toml::table>(section))
        if (const auto* node = table->get(key))
            fail_at(name, node->source(), what);
    throw ConfigError(fmt::format("{}: {}", name, what));
}

void Mistakes::check() {
    constexpr std::size_t most = 20;
    if (all_.empty())
        return;
    std::ranges::stable_sort(all_, {}, &ConfigError::line);
    std::string text;
    for (const auto& one : std::span(all_).first(std::min(most, all_.size())))
        text += fmt::format("{}{}", text.empty() ? "" : "\n", one.what());
    if (all_.size() > most)
        text += fmt::format("\nand {} more", all_.size() - most);
    throw ConfigError(text, all_.front().line());
}

void Value::fail(std::string_view what) const {
    fail_at(reading_.get().file, node_.get().source(), fmt::format("{}: {}", key_, what));
}

bool Value::boolean() const {
    if (const auto value = node_.get().value_exact<bool>())
        return *value;
    fail("not a truth value; write true or false");
}

std::int64_t Value::integer(std::int64_t least, std::int64_t most) const {
    const auto value = node_.get().value_exact<std::int64_t>();
    if (!value || *value < least || *value > most)
        fail(fmt::format("not a whole number from {} to {}", least, most));
    return *value;
}

std::string Value::string() const {
    auto value = node_.get().value_exact<std::string>();
    if (!value || value->empty())
        fail("not a text; write it in double quotes");
    if (value->find('\0') != std::string::npos)
        fail("a zero byte in the text; leave it out");
    return *value;
}

std::string Value::string_or_none() const {
    const auto value = node_.get().value_exact<std::string>();
    return value && value->empty() ? std::string() : string();
}

std::string Value::socket_path() const {
    auto path = string();
    if (path.size() > most_unix_path)
        fail(fmt::format("too long for a socket; {} characters at most", most_unix_path));
    return path;
}

std::size_t Value::one_of(std::initializer_list<std::string_view> words) const {
    const auto given = string();
    std::size_t position = 0;
    for (const auto word : words) {
        if (given == word)
            return position;
        ++position;
    }
    fail(fmt::format("'{}' is not known; it is one of \"{}\"", escape(given),
                     fmt::join(words, "\", \"")));
}

std::vector<Value> Value::array() const {
    const auto* array = node_.get().as_array();
    if (array == nullptr)
        fail("not a list; write it in brackets, like [\"a\", \"b\"]");
    std::vector<Value> values;
    for (const auto& node : *array)
        values.emplace_back(reading_, key_, node);
    return values;
}

bool Value::is_after(const Value& other) const {
    const auto place = [](const Value& value) {
        const auto& begin = value.node_.get().source().begin;
        return std::pair(begin.line, begin.column);
    };
    return place(*this) > place(other);
}

std::string Value::text() const {
    if (const auto value = node_.get().value_exact<std::int64_t>())
        return std::to_string(*value);
    return string();
}

PortRange Value::port_range() const {
    const auto given = text();
    const auto ports = range<Port>(given);
    if (!ports)
        fail(
            fmt::format("'{}' is not a port or a range of them; write 8080 or \"8000-8099\", up to "
                        "65535",
                        escape(given)));
    return *ports;
}

ProtocolPorts Value::protocol_ports() const {
    const auto given = text();
    const auto ports = to_protocol_ports(given);
    if (!ports)
        fail(fmt::format("'{}' is not a port; write 8080, \"tcp/22\", \"udp/123\" or "
                         "\"tcp/9000-9100\"",
                         escape(given)));
    return *ports;
}

std::optional<Exemption> Value::exemption() const {
    auto given = text();
    const auto place = split_place(*this, given);
    const auto users = to_uids(given);
    return users ? std::optional(Exemption{*users, place}) : std::nullopt;
}

KernelExemption Value::kernel_exemption() const {
    const auto whole = text();
    auto given = whole;
    const auto place = split_place(*this, given);
    if (given == "*")
        return {.at = place};
    const auto ports = to_protocol_ports(given);
    if (!ports)
        fail(fmt::format("'{}' says no port; write it like 2049, \"tcp/2049@10.0.0.0/28\" or "
                         "\"*@10.0.0.1\"",
                         escape(whole)));
    return {ports->tcp, ports->udp, ports->ports, place};
}

std::optional<Exception> Value::exception() const {
    const auto whole = text();
    auto given = whole;
    const auto place = split_place(*this, given);
    const auto arrow = given.find('>');
    const auto blank = given.rfind(' ');
    const bool has_all = arrow != std::string::npos && blank != std::string::npos && arrow < blank;
    const auto ports = has_all ? to_protocol_ports(std::string_view(given).substr(blank + 1))
                               : std::optional<ProtocolPorts>();
    if (!ports || arrow == 0 || arrow + 1 == blank)
        fail(fmt::format("'{}' is no exception; write it like \"alice>bob tcp/8786@10.0.0.2\": who "
                         "connects, to whose listener, at which port, and at which address",
                         escape(whole)));
    const auto connectors = to_uids(given.substr(0, arrow));
    const auto listeners = to_uids(given.substr(arrow + 1, blank - arrow - 1));
    if (!connectors || !listeners)
        return std::nullopt;
    return Exception{*connectors, *listeners, ports->tcp, ports->udp, ports->ports, place};
}

std::uint8_t Value::ip_protocol() const {
    const auto given = text();
    const auto protocol =
        is_number_like(given) ? number<std::uint8_t>(given) : protocol_number(given);
    if (!protocol)
        fail(fmt::format("'{}' is not a protocol; write a number up to 255, or one of \"{}\"",
                         escape(given), fmt::join(protocol_names(), "\", \"")));
    switch (*protocol) {
    case IPPROTO_TCP:
    case IPPROTO_UDP:
        fail(fmt::format("'{}' is watched, port by port; to let ports pass, write them into "
                         "exempt_ports",
                         escape(given)));
    case IPPROTO_ICMP:
    case IPPROTO_IGMP:
    case IPPROTO_ICMPV6:
        fail(fmt::format("'{}' passes without being named; leave it out", escape(given)));
    default:
        return *protocol;
    }
}

Prefix Value::prefix() const {
    const auto given = string();
    const auto prefix = Prefix::parse(given);
    if (!prefix)
        fail(fmt::format("'{}' is not a range of addresses; write it like \"10.0.0.0/16\" or "
                         "\"fd00::/64\", without bits behind the prefix",
                         escape(given)));
    return *prefix;
}

Label Value::pkey() const {
    const auto given = text();
    const auto label = parse_label("pkey:" + given);
    if (!label || label->name == "*")
        fail(fmt::format("'{}' is not a P_Key; write it like \"0x8001\"", escape(given)));
    return *label;
}

std::optional<UidRange> Value::uids() const {
    return to_uids(text());
}

std::optional<UidRange> Value::to_uids(const std::string& given) const {
    if (is_number_like(given)) {
        const auto numbers = range<std::uint32_t>(given);
        // 4294967295 is the kernel's value for no user at all.
        if (!numbers || numbers->last == std::numeric_limits<std::uint32_t>::max())
            fail(fmt::format("'{}' is not a range of uids; write 2001 or \"2000-2999\", the lower "
                             "one first",
                             escape(given)));
        return UidRange{Uid{numbers->first}, Uid{numbers->last}};
    }
    if (reading_.get().names == Names::pass_over)
        return std::nullopt;
    const auto uid = reading_.get().names == Names::list ? std::nullopt : uid_of(given);
    if (!uid) {
        miss("user", given, "uid");
        return std::nullopt;
    }
    return UidRange{*uid, *uid};
}

bool Value::is_group() const {
    return text().starts_with('@');
}

std::optional<Gid> Value::group() const {
    return to_gid(text().substr(1));
}

std::optional<Gid> Value::gid() const {
    return to_gid(text());
}

std::optional<Gid> Value::to_gid(const std::string& given) const {
    if (const auto numeric = number<std::uint32_t>(given))
        return Gid{*numeric};
    if (reading_.get().names == Names::pass_over)
        return std::nullopt;
    const auto gid = reading_.get().names == Names::list ? std::nullopt : gid_of(given);
    if (!gid)
        miss("group", given, "gid");
    return gid;
}

void Value::miss(std::string_view kind, const std::string& name, std::string_view number) const {
    const auto what =
        reading_.get().names == Names::list
            ? fmt::format("the user database did not say in time who the {} '{}' is", kind,
                          escape(name))
            : fmt::format("the user database knows no {} '{}'; check the name, or write the {}",
                          kind, escape(name), number);
    if (reading_.get().names == Names::look_up)
        fail(what);
    const auto& where = node_.get().source();
    reading_.get().unknown.push_back(fmt::format("{}:{}: {}: {}",
                                                 where.path ? *where.path : reading_.get().file,
                                                 where.begin.line, key_, what));
}

std::optional<std::string> Value::after(std::string_view prefix) const {
    const auto given = text();
    if (!given.starts_with(prefix))
        return std::nullopt;
    if (given.size() == prefix.size())
        fail(fmt::format("'{}' names nothing; write it like \"{}chem\"", given, prefix));
    return given.substr(prefix.size());
}

InterfacePattern Value::interface() const {
    const auto given = string();
    InterfacePattern pattern(given);
    if (pattern.name().empty() || pattern.name().size() >= IFNAMSIZ ||
        pattern.name().find_first_of("/ \t\n\"\\*") != std::string_view::npos)
        fail(fmt::format("'{}' is not the name of an interface; write it like \"eth0\", or "
                         "\"eth*\" for all that begin so, {} characters at most",
                         escape(given), IFNAMSIZ - 1));
    return pattern;
}

} // namespace ubf::config
