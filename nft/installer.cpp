#include "nft/installer.hpp"

#include "nft/netlink.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <cerrno>
#include <cstring>
#include <fmt/format.h>
#include <libnftnl/common.h>
#include <libnftnl/expr.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <set>
#include <sys/socket.h>

namespace ubf::nft {
namespace {

constexpr std::size_t message_room = 65536;
constexpr std::size_t elements_per_message = 256;

std::string explain(const std::string& what, int error) {
    if (error == EPERM)
        return fmt::format("{}: CAP_NET_ADMIN is missing; run as root or give the unit the "
                           "capability",
                           what);
    if (error == EPROTONOSUPPORT || error == EOPNOTSUPP)
        return fmt::format("{}: the kernel lacks it; load nf_tables, nft_ct, nft_reject_inet with "
                           "modprobe",
                           what);
    return fmt::format("{}: {}", what, std::strerror(error));
}

} // namespace

// Messages of one transaction, each with the words for its failure.
class Installer::Batch {
  public:
    explicit Batch(std::uint32_t& sequence)
      : sequence_(sequence) {
        add_raw([](char* room, std::uint32_t number) { return nftnl_batch_begin(room, number); });
    }

    void add(std::uint16_t type, std::uint16_t flags, std::string what,
             const std::function<void(nlmsghdr*)>& fill) {
        add_raw([&](char* room, std::uint32_t number) {
            what_[number] = std::move(what);
            auto* message = nftnl_nlmsg_build_hdr(
                room, type, NFPROTO_INET, static_cast<std::uint16_t>(flags | NLM_F_ACK), number);
            fill(message);
            return message;
        });
    }

    std::span<const std::uint8_t> finish() {
        add_raw([](char* room, std::uint32_t number) { return nftnl_batch_end(room, number); });
        return bytes_;
    }

    std::map<std::uint32_t, std::string>& expected() { return what_; }

  private:
    template<typename Build>
    void add_raw(Build build) {
        room_.assign(message_room, 0);
        const nlmsghdr* message = build(reinterpret_cast<char*>(room_.data()), ++sequence_);
        bytes_.insert(bytes_.end(), room_.begin(), room_.begin() + message->nlmsg_len);
    }

    std::uint32_t& sequence_;
    std::vector<std::uint8_t> room_;
    std::vector<std::uint8_t> bytes_;
    std::map<std::uint32_t, std::string> what_; // by sequence number
};

Installer::Installer()
  : socket_(NETLINK_NETFILTER) {
    socket_.set_receive_buffer(4 << 20);
    const int send_buffer = 32 << 20; // a transaction is one datagram
    ::setsockopt(socket_.fd(), SOL_SOCKET, SO_SNDBUFFORCE, &send_buffer, sizeof send_buffer);
    // Nobody stands still for ever, if an answer is lost.
    const timeval patience{5, 0};
    ::setsockopt(socket_.fd(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
}

// The kernel acknowledges every message, or names those that failed and undoes the rest.
Installer::Outcome Installer::commit(Batch& batch) {
    if (const int error = socket_.send(batch.finish()); error != 0)
        return {error, "sending the ruleset"};
    auto& expected = batch.expected();
    Outcome outcome{0, {}};
    std::vector<std::uint8_t> buffer(message_room);
    while (!expected.empty()) {
        const auto length = socket_.receive(buffer);
        if (!length)
            return {length.error(), "waiting for the kernel's acknowledgement"};
        const auto* header = reinterpret_cast<const nlmsghdr*>(buffer.data());
        auto left = static_cast<int>(*length);
        for (; mnl_nlmsg_ok(header, left); header = mnl_nlmsg_next(header, &left)) {
            if (header->nlmsg_type != NLMSG_ERROR ||
                mnl_nlmsg_get_payload_len(header) < sizeof(nlmsgerr))
                continue;
            const int error = -static_cast<const nlmsgerr*>(mnl_nlmsg_get_payload(header))->error;
            const auto found = expected.find(header->nlmsg_seq);
            const bool whole_batch = found == expected.end() && error != 0 &&
                                     header->nlmsg_seq + 1 >= (expected.begin()->first);
            if (whole_batch) // refused as a whole, as without the privilege
                return {error, "changing the ruleset"};
            if (found == expected.end())
                continue;
            if (error != 0 && outcome.error == 0)
                outcome = {error, found->second};
            expected.erase(found);
        }
    }
    return outcome;
}

namespace {

void add_rule_message(nlmsghdr* message, const std::string& chain, const Rule& rule,
                      const char* table) {
    nftnl_rule_nlmsg_build_payload(message, to_nftnl(table, chain, rule).get());
}

} // namespace

void Installer::install(const Ruleset& ruleset) {
    Batch batch(sequence_);
    batch.add(NFT_MSG_NEWTABLE, NLM_F_CREATE, "adding the table inet ubf", [](nlmsghdr* message) {
        nftnl_table_nlmsg_build_payload(message, to_nftnl(table_name).get());
    });
    std::uint32_t id = 0;
    for (const auto& set : ruleset.sets) {
        const auto object = to_nftnl(table_name, set, ++id);
        batch.add(NFT_MSG_NEWSET, NLM_F_CREATE, fmt::format("adding the set {}", set.name),
                  [&](nlmsghdr* message) { nftnl_set_nlmsg_build_payload(message, object.get()); });
        batch.add(NFT_MSG_DELSETELEM, 0, fmt::format("emptying the set {}", set.name),
                  [&](nlmsghdr* message) {
                      const auto all = to_nftnl(table_name, set, id);
                      nftnl_set_elems_nlmsg_build_payload(message, all.get());
                  });
        const auto items = boundaries(set);
        for (std::size_t first = 0; first < items.size(); first += elements_per_message) {
            const auto part = to_nftnl(table_name, set, id);
            add_elements(part.get(), items, first,
                         std::min(first + elements_per_message, items.size()));
            batch.add(NFT_MSG_NEWSETELEM, NLM_F_CREATE, fmt::format("filling the set {}", set.name),
                      [&](nlmsghdr* message) {
                          nftnl_set_elems_nlmsg_build_payload(message, part.get());
                      });
        }
    }
    for (const auto& chain : ruleset.chains) {
        const auto object = to_nftnl(table_name, chain);
        batch.add(
            NFT_MSG_NEWCHAIN, NLM_F_CREATE, fmt::format("adding the chain {}", chain.name),
            [&](nlmsghdr* message) { nftnl_chain_nlmsg_build_payload(message, object.get()); });
        const auto all = to_nftnl(table_name, chain.name, Rule{});
        nftnl_rule_unset(all.get(), NFTNL_RULE_USERDATA);
        batch.add(NFT_MSG_DELRULE, 0, fmt::format("emptying the chain {}", chain.name),
                  [&](nlmsghdr* message) { nftnl_rule_nlmsg_build_payload(message, all.get()); });
    }
    for (const auto& chain : ruleset.chains)
        for (const auto& rule : chain.rules)
            batch.add(NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND,
                      fmt::format("adding the rule {} to the chain {}", rule.id, chain.name),
                      [&](nlmsghdr* message) {
                          add_rule_message(message, chain.name, rule, table_name);
                      });
    if (const auto outcome = commit(batch); outcome.error != 0)
        throw NftError(explain(outcome.what, outcome.error), outcome.error);
}

// In a transaction of which the last step must fail, so that nothing of it stays.
bool Installer::works(const ToQueue& queue) {
    constexpr const char* probe = "ubf-probe";
    const Chain chain{"probe", "", std::nullopt, {}};
    const Rule rule{"probe", "", {{"", {queue}}}};
    const std::string queue_rule = "queue";
    Batch batch(sequence_);
    batch.add(NFT_MSG_NEWTABLE, NLM_F_CREATE, "", [&](nlmsghdr* message) {
        nftnl_table_nlmsg_build_payload(message, to_nftnl(probe).get());
    });
    batch.add(NFT_MSG_NEWCHAIN, NLM_F_CREATE, "", [&](nlmsghdr* message) {
        nftnl_chain_nlmsg_build_payload(message, to_nftnl(probe, chain).get());
    });
    batch.add(NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND, queue_rule,
              [&](nlmsghdr* message) { add_rule_message(message, chain.name, rule, probe); });
    batch.add(NFT_MSG_DELCHAIN, 0, "undo", [&](nlmsghdr* message) {
        nftnl_chain_nlmsg_build_payload(message,
                                        to_nftnl(probe, {"none", "", std::nullopt, {}}).get());
    });
    const auto outcome = commit(batch);
    if (outcome.error == EPERM)
        throw NftError(explain(outcome.what, EPERM), EPERM);
    return outcome.what == "undo";
}

QueueExpression Installer::probe_queue_expression() {
    if (works({0, 1, true}))
        return QueueExpression::native;
    if (works({0, 1, false}))
        return QueueExpression::xt;
    throw NftError("the kernel can queue packets neither by nft's queue nor by xt NFQUEUE; load "
                   "nft_queue, or xt_NFQUEUE and nft_compat, with modprobe",
                   EOPNOTSUPP);
}

int Installer::dump(std::uint16_t type, std::uint16_t flags,
                    const std::function<void(nlmsghdr*)>& fill,
                    const std::function<void(const nlmsghdr*)>& each) {
    std::vector<std::uint8_t> buffer(message_room);
    auto* request = nftnl_nlmsg_build_hdr(reinterpret_cast<char*>(buffer.data()), type,
                                          NFPROTO_INET, flags, ++sequence_);
    fill(request);
    if (const int error = socket_.send({buffer.data(), request->nlmsg_len}); error != 0)
        return error;
    while (true) {
        const auto length = socket_.receive(buffer);
        if (!length)
            return length.error();
        const auto* header = reinterpret_cast<const nlmsghdr*>(buffer.data());
        auto left = static_cast<int>(*length);
        for (; mnl_nlmsg_ok(header, left); header = mnl_nlmsg_next(header, &left)) {
            if (header->nlmsg_seq != sequence_)
                continue;
            if ((header->nlmsg_flags & NLM_F_DUMP_INTR) != 0)
                return EINTR; // the ruleset changed under the dump
            if (header->nlmsg_type == NLMSG_DONE)
                return 0;
            if (header->nlmsg_type == NLMSG_ERROR)
                return mnl_nlmsg_get_payload_len(header) < sizeof(nlmsgerr)
                           ? EBADMSG
                           : -static_cast<const nlmsgerr*>(mnl_nlmsg_get_payload(header))->error;
            each(header);
            if ((flags & NLM_F_DUMP) != NLM_F_DUMP)
                return 0; // one answer, and no end of a dump
        }
    }
}

bool Installer::table_exists() {
    return dump(
               NFT_MSG_GETTABLE, 0,
               [](nlmsghdr* message) {
                   nftnl_table_nlmsg_build_payload(message, to_nftnl(table_name).get());
               },
               [](const nlmsghdr*) {}) == 0;
}

void Installer::remove() {
    Batch batch(sequence_);
    batch.add(NFT_MSG_DELTABLE, 0, "deleting the table inet ubf", [](nlmsghdr* message) {
        nftnl_table_nlmsg_build_payload(message, to_nftnl(table_name).get());
    });
    const auto outcome = commit(batch);
    if (outcome.error != 0 && outcome.error != ENOENT)
        throw NftError(explain(outcome.what, outcome.error), outcome.error);
    if (table_exists())
        throw NftError("the table inet ubf is still there; remove it with 'nft delete table inet "
                       "ubf'");
}

Result<std::uint32_t, NftError> Installer::generation() {
    std::uint32_t generation = 0;
    const int error = dump(
        NFT_MSG_GETGEN, 0, [](nlmsghdr*) {},
        [&](const nlmsghdr* header) {
            mnl_attr_parse(
                header, sizeof(nfgenmsg),
                [](const nlattr* attribute, void* data) {
                    if (mnl_attr_get_type(attribute) == NFTA_GEN_ID &&
                        mnl_attr_validate(attribute, MNL_TYPE_U32) >= 0)
                        *static_cast<std::uint32_t*>(data) = ntohl(mnl_attr_get_u32(attribute));
                    return MNL_CB_OK;
                },
                &generation);
        });
    if (error != 0)
        return fail(NftError(explain("reading the ruleset's generation", error), error));
    return generation;
}

namespace {

using Ids = std::map<std::string, std::vector<std::string>>; // by chain, in order

struct Seen {
    std::map<std::string, std::pair<bool, std::int32_t>> chains; // base chain? at which priority?
    Ids rules;
};

void see_chain(const nlmsghdr* header, Seen& seen) {
    const ChainPtr chain(nftnl_chain_alloc());
    if (!chain || nftnl_chain_nlmsg_parse(header, chain.get()) < 0)
        return;
    const char* table = nftnl_chain_get_str(chain.get(), NFTNL_CHAIN_TABLE);
    const char* name = nftnl_chain_get_str(chain.get(), NFTNL_CHAIN_NAME);
    if (table == nullptr || name == nullptr || std::strcmp(table, table_name) != 0)
        return;
    const bool input = nftnl_chain_is_set(chain.get(), NFTNL_CHAIN_HOOKNUM) &&
                       nftnl_chain_get_u32(chain.get(), NFTNL_CHAIN_HOOKNUM) == NF_INET_LOCAL_IN;
    seen.chains[name] = {input, input ? nftnl_chain_get_s32(chain.get(), NFTNL_CHAIN_PRIO) : 0};
}

void see_rule(const nlmsghdr* header, Seen& seen) {
    const RulePtr rule(nftnl_rule_alloc());
    if (!rule || nftnl_rule_nlmsg_parse(header, rule.get()) < 0)
        return;
    const char* chain = nftnl_rule_get_str(rule.get(), NFTNL_RULE_CHAIN);
    if (chain != nullptr)
        seen.rules[chain].push_back(rule_id(rule.get()).value_or("?"));
}

// What nft itself adds to tell of the gap in front, and what touches, doesn't count.
std::vector<Boundary> see_elements(const nlmsghdr* header) {
    std::vector<Boundary> result;
    const SetPtr set(nftnl_set_alloc());
    if (!set || nftnl_set_elems_nlmsg_parse(header, set.get()) < 0)
        return result;
    nftnl_set_elem_foreach(
        set.get(),
        [](nftnl_set_elem* element, void* context) {
            std::uint32_t length = 0;
            const auto* key = static_cast<const std::uint8_t*>(
                nftnl_set_elem_get(element, NFTNL_SET_ELEM_KEY, &length));
            const bool end = nftnl_set_elem_is_set(element, NFTNL_SET_ELEM_FLAGS) &&
                             (nftnl_set_elem_get_u32(element, NFTNL_SET_ELEM_FLAGS) &
                              NFT_SET_ELEM_INTERVAL_END) != 0;
            if (key != nullptr)
                static_cast<std::vector<Boundary>*>(context)->push_back(
                    {Bytes(key, key + length), end});
            return 0;
        },
        &result);
    return result;
}

std::vector<Boundary> tidy(std::vector<Boundary> boundaries) {
    std::erase_if(boundaries, [](const Boundary& boundary) {
        return boundary.end && std::ranges::all_of(boundary.key, [](auto b) { return b == 0; });
    });
    std::set<Bytes> starts;
    std::set<Bytes> ends;
    for (const auto& boundary : boundaries)
        (boundary.end ? ends : starts).insert(boundary.key);
    std::erase_if(boundaries, [&](const Boundary& boundary) {
        return starts.contains(boundary.key) && ends.contains(boundary.key);
    });
    std::ranges::sort(boundaries);
    return boundaries;
}

} // namespace

Result<std::vector<std::string>, NftError> Installer::missing(const Ruleset& ruleset) {
    Seen seen;
    const auto failed = [](int error) {
        return fail(NftError(explain("reading the ruleset", error), error));
    };
    if (!table_exists())
        return std::vector<std::string>{"table inet ubf"};
    if (const int error = dump(
            NFT_MSG_GETCHAIN, NLM_F_DUMP, [](nlmsghdr*) {},
            [&](const nlmsghdr* header) { see_chain(header, seen); });
        error != 0)
        return failed(error);
    if (const int error = dump(
            NFT_MSG_GETRULE, NLM_F_DUMP,
            [](nlmsghdr* message) { mnl_attr_put_strz(message, NFTA_RULE_TABLE, table_name); },
            [&](const nlmsghdr* header) { see_rule(header, seen); });
        error != 0)
        return failed(error);

    std::vector<std::string> missing;
    for (const auto& chain : ruleset.chains) {
        const auto found = seen.chains.find(chain.name);
        const std::pair<bool, std::int32_t> wanted{chain.priority.has_value(),
                                                   chain.priority.value_or(0)};
        if (found == seen.chains.end() || found->second != wanted) {
            missing.push_back(fmt::format("chain {}", chain.name));
            continue;
        }
        std::vector<std::string> ids;
        for (const auto& rule : chain.rules) {
            ids.push_back(rule.id);
            if (std::ranges::find(seen.rules[chain.name], rule.id) == seen.rules[chain.name].end())
                missing.push_back(fmt::format("rule {} of chain {}", rule.id, chain.name));
        }
        if (missing.empty() && ids != seen.rules[chain.name])
            missing.push_back(
                fmt::format("the order of chain {}, or a rule there that isn't ours", chain.name));
    }
    for (const auto& set : ruleset.sets) {
        std::vector<Boundary> elements;
        const int error = dump(
            NFT_MSG_GETSETELEM, NLM_F_DUMP,
            [&](nlmsghdr* message) {
                mnl_attr_put_strz(message, NFTA_SET_ELEM_LIST_TABLE, table_name);
                mnl_attr_put_strz(message, NFTA_SET_ELEM_LIST_SET, set.name.c_str());
            },
            [&](const nlmsghdr* header) {
                std::ranges::move(see_elements(header), std::back_inserter(elements));
            });
        if (error != 0 && error != ENOENT)
            return failed(error);
        if (error == ENOENT)
            missing.push_back(fmt::format("set {}", set.name));
        else if (tidy(elements) != tidy(boundaries(set)))
            missing.push_back(fmt::format("elements of set {}", set.name));
    }
    return missing;
}

Result<std::map<std::string, RuleCounter>, NftError> Installer::counters() {
    std::map<std::string, RuleCounter> counters;
    const int error = dump(
        NFT_MSG_GETRULE, NLM_F_DUMP,
        [](nlmsghdr* message) { mnl_attr_put_strz(message, NFTA_RULE_TABLE, table_name); },
        [&](const nlmsghdr* header) {
            const RulePtr rule(nftnl_rule_alloc());
            if (!rule || nftnl_rule_nlmsg_parse(header, rule.get()) < 0)
                return;
            const auto id = rule_id(rule.get());
            if (!id)
                return;
            std::pair<const std::string*, decltype(counters)*> context{&*id, &counters};
            nftnl_expr_foreach(
                rule.get(),
                [](nftnl_expr* expression, void* data) {
                    auto* to = static_cast<decltype(context)*>(data);
                    if (std::strcmp(nftnl_expr_get_str(expression, NFTNL_EXPR_NAME), "counter") ==
                        0)
                        (*to->second)[*to->first] = {
                            nftnl_expr_get_u64(expression, NFTNL_EXPR_CTR_PACKETS),
                            nftnl_expr_get_u64(expression, NFTNL_EXPR_CTR_BYTES)};
                    return 0;
                },
                &context);
        });
    if (error != 0)
        return fail(NftError(explain("reading the counters", error), error));
    return counters;
}

} // namespace ubf::nft
