#include "config/identity.hpp"

#include "base/escape.hpp"
#include "identity/certificate.hpp"

#include <fmt/format.h>
#include <utility>

namespace ubf::config {
namespace {

void set(identity::ClassRule& rule, const toml::key& key, const Value& value) {
    if (key.str() == "users")
        value.each([&](const Value& item) {
            if (const auto users = item.uids())
                rule.users.push_back(*users);
        });
    else if (key.str() == "kernel")
        rule.kernel = value.boolean();
    else if (key.str() == "exempt")
        rule.exempt = value.boolean();
    else if (key.str() == "vouch")
        rule.jobs = value.one_of({"any", "jobs"}) == 1;
    else if (key.str() == "groups")
        rule.groups = value.boolean();
    else
        value.fail("no such key; a class has users, kernel, exempt, vouch and groups");
}

} // namespace

std::vector<identity::VerifyKey> authorities(const Value& value) {
    std::vector<identity::VerifyKey> keys;
    value.each([&](const Value& item) {
        const auto key = identity::parse_authority(item.string());
        if (!key)
            item.fail("not an authority; write the line that 'ubfctl ca init' printed, "
                      "\"ubf-authority-1 \" and 64 hex digits");
        if (keys.size() == 2)
            item.fail("a third authority; two are enough for one to follow the other");
        keys.push_back(*key);
    });
    return keys;
}

void read_classes(Config& config, const Reading& reading, const toml::node& node) {
    const auto& file = reading.file;
    const auto* classes = node.as_table();
    if (classes == nullptr)
        fail_at(file, node.source(),
                "identity.classes: not a table; write [identity.classes.compute] and users = "
                "[\"1000-59999\"]");
    for (auto&& [name, entry] : *classes) {
        const auto* table = entry.as_table();
        if (!identity::is_name(name.str(), identity::max_class) || table == nullptr)
            fail_at(
                file, name.source(),
                fmt::format("identity.classes.{}: not a class; write [identity.classes.compute] "
                            "on a line of its own, with a name of a-z, 0-9, '.', '_' and '-'",
                            escape(name.str())));
        identity::ClassRule rule;
        for (auto&& [key, value] : *table)
            reading.mistakes.of([&, &key = key, &value = value, &name = name] {
                set(rule, key,
                    Value(reading, fmt::format("identity.classes.{}.{}", name.str(), key.str()),
                          value));
            });
        config.identity.classes.emplace(name.str(), std::move(rule));
    }
}

void check_identity(const Config& config, const toml::table& root, const std::string& file) {
    const auto& own = config.identity;
    if (!own.key.empty()) {
        if (own.certificate.empty() || own.authorities.empty())
            fail_at(file, root, "identity", "key",
                    "identity.key: set, but not identity.certificate and identity.authorities, "
                    "without which no peer takes this node's word; 'ubfctl ca' makes both");
        return;
    }
    if (config.ident.require_certificates)
        fail_at(file, root, "ident", "require_certificates",
                "ident.require_certificates: this node has no key of its own; set identity.key, "
                "identity.certificate and identity.authorities");
    const std::pair<const char*, bool> rest[] = {{"certificate", !own.certificate.empty()},
                                                 {"roster", !own.roster.empty()},
                                                 {"authorities", !own.authorities.empty()}};
    for (const auto& [key, is_set] : rest)
        if (is_set)
            fail_at(file, root, "identity", key,
                    "identity.key: not set, so the rest of [identity] has no effect; set it, or "
                    "take the rest out");
}

} // namespace ubf::config
