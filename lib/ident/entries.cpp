#include "ident/entries.hpp"

#include "ident/fields.hpp"

#include <algorithm>
#include <string>
#include <string_view>

namespace ubf::ident {
namespace {

static_assert(max_label_name + label_overhead <= max_label_bytes);

constexpr std::uint8_t has_uid = 1;
constexpr std::uint8_t wishes = 2 | 4; // an older ubfd's, about pushed owners; ignored
constexpr std::uint8_t has_group = 8;

constexpr std::uint8_t has_credentials = 1;
constexpr std::uint8_t has_gid = 2;
constexpr std::uint8_t knows_labels = 4;
constexpr std::uint8_t more_follows = 8;
constexpr std::uint8_t is_busy = 16;
constexpr std::uint8_t has_account = 32;
constexpr std::uint8_t is_slurmstepd = 64; // only of nodes that have a slurm.conf
constexpr std::uint8_t has_via = 128;      // only of nodes that have a portal

constexpr std::uint8_t refused_connector = 1; // is known
constexpr std::uint8_t refused_listener = 2;
constexpr std::uint8_t refused_ended = 4;
constexpr std::uint8_t refused_observed = 8;

constexpr std::uint8_t decided_connector = 1; // is known
constexpr std::uint8_t decided_listener = 2;
constexpr std::uint8_t decided_observed = 4;
constexpr std::uint8_t decided_unwatched = 8;

std::vector<const Label*> labels_that_fit(const Credentials& credentials) {
    std::vector<const Label*> labels;
    std::size_t bytes = 0;
    for (const auto& label : credentials.labels) {
        if (!is_label_name(label.name) || labels.size() == max_labels)
            continue;
        bytes += label_overhead + label.name.size();
        if (bytes > max_label_bytes)
            break;
        labels.push_back(&label);
    }
    return labels;
}

// A peer can't claim to be outside.
enum class AnswerKind : std::uint8_t { unknown, user, kernel, shared, translated };

AnswerKind to_wire(OwnerKind kind) {
    switch (kind) {
    case OwnerKind::user:
        return AnswerKind::user;
    case OwnerKind::kernel:
        return AnswerKind::kernel;
    case OwnerKind::shared:
        return AnswerKind::shared;
    case OwnerKind::translated:
        return AnswerKind::translated;
    default:
        return AnswerKind::unknown;
    }
}

OwnerKind from_wire(AnswerKind kind) {
    switch (kind) {
    case AnswerKind::user:
        return OwnerKind::user;
    case AnswerKind::kernel:
        return OwnerKind::kernel;
    case AnswerKind::shared:
        return OwnerKind::shared;
    case AnswerKind::translated:
        return OwnerKind::translated;
    case AnswerKind::unknown:
        break;
    }
    return OwnerKind::unknown;
}

// The number behind the account is there with has_via only.
std::optional<Credentials> get_credentials(Reader& in, std::uint8_t flags,
                                           std::optional<Uid>& via) {
    Credentials credentials;
    const auto method = in.number<std::uint8_t>();
    const auto gid = in.number<std::uint32_t>();
    credentials.process.pid = Pid{in.number<std::int32_t>()};
    credentials.process.job = in.number<std::uint32_t>();
    const auto account = in.number<std::uint32_t>();
    if ((flags & has_via) != 0)
        via = Uid{in.number<std::uint32_t>()};
    credentials.process.comm = get_text(in, max_comm);
    const auto groups = in.number<std::uint16_t>();
    if (!in.good() || method >= static_cast<std::uint8_t>(Method::count_) || groups > max_groups)
        return std::nullopt;
    credentials.method = Method{method};
    if ((flags & has_gid) != 0)
        credentials.gid = Gid{gid};
    if ((flags & has_account) != 0)
        credentials.account = Uid{account};
    credentials.labels_known = (flags & knows_labels) != 0;
    credentials.slurmstepd = (flags & is_slurmstepd) != 0;
    credentials.groups.reserve(groups);
    for (std::uint16_t i = 0; i < groups && in.good(); ++i)
        credentials.groups.push_back(Gid{in.number<std::uint32_t>()});
    const auto labels = in.number<std::uint8_t>();
    if (labels > max_labels)
        return std::nullopt;
    for (std::uint8_t i = 0; i < labels && in.good(); ++i) {
        const auto origin = in.number<std::uint8_t>();
        if (origin < 1 || origin > static_cast<std::uint8_t>(LabelOrigin::count_))
            return std::nullopt;
        auto name = get_text(in, max_label_name);
        if (!is_label_name(name))
            return std::nullopt;
        credentials.labels.push_back(
            {LabelOrigin{static_cast<std::uint8_t>(origin - 1)}, std::move(name)});
    }
    if (!in.good())
        return std::nullopt;
    return credentials;
}

} // namespace

// Nonce, role, flags, same_as, flow.
void put(Writer& out, const Question& question) {
    out.number(static_cast<std::uint64_t>(question.nonce));
    out.number(static_cast<std::uint8_t>(question.role));
    const std::uint8_t flags = question.group ? has_group : question.same_as ? has_uid : 0;
    out.number(flags);
    out.number(question.group ? value(*question.group) : value(question.same_as.value_or(Uid{0})));
    put(out, question.flow);
}

std::optional<Question> get(Reader& in, const Question*) {
    Question question;
    question.nonce = Nonce{in.number<std::uint64_t>()};
    const auto role = in.number<std::uint8_t>();
    const auto flags = in.number<std::uint8_t>();
    const auto id = in.number<std::uint32_t>();
    const auto flow = get_flow(in);
    constexpr auto both_ids = has_uid | has_group;
    if (!flow || (role != 1 && role != 2) || flags > (both_ids | wishes) ||
        (flags & both_ids) == both_ids)
        return std::nullopt;
    question.role = Role{role};
    if ((flags & has_uid) != 0)
        question.same_as = Uid{id};
    if ((flags & has_group) != 0)
        question.group = Gid{id};
    question.flow = *flow;
    return question;
}

// Nonce, kind, flags, uid; with credentials: method, gid, pid, job, account, perhaps the portal's
// uid, then counted: comm, groups, labels.
void put(Writer& out, const Answer& answer) {
    const auto& credentials = answer.owner.credentials;
    std::uint8_t flags = 0;
    std::vector<const Label*> labels;
    if (credentials) {
        labels = labels_that_fit(*credentials);
        flags = has_credentials;
        if (credentials->gid)
            flags |= has_gid;
        if (credentials->account)
            flags |= has_account;
        if (credentials->slurmstepd)
            flags |= is_slurmstepd;
        if (answer.owner.via)
            flags |= has_via;
        // If a label doesn't fit, it is left out, and the labels count as unknown.
        if (credentials->labels_known && labels.size() == credentials->labels.size())
            flags |= knows_labels;
    }
    if (answer.part == Part::busy)
        flags |= is_busy;
    else if (answer.part == Part::uid && !credentials)
        flags = more_follows;
    out.number(static_cast<std::uint64_t>(answer.nonce));
    out.number(static_cast<std::uint8_t>(to_wire(answer.owner.kind)));
    out.number(flags);
    out.number(value(answer.owner.uid));
    if (!credentials)
        return;
    out.number(static_cast<std::uint8_t>(credentials->method));
    out.number(value(credentials->gid.value_or(Gid{0})));
    out.number(value(credentials->process.pid));
    out.number(credentials->process.job);
    out.number(value(credentials->account.value_or(Uid{0})));
    if (answer.owner.via)
        out.number(value(*answer.owner.via));

    const auto comm = std::string_view(credentials->process.comm).substr(0, max_comm);
    put_text(out, comm);

    // A group that doesn't fit is left out, which can only deny.
    const auto groups = std::min(credentials->groups.size(), max_groups);
    out.number(static_cast<std::uint16_t>(groups));
    for (std::size_t i = 0; i < groups; ++i)
        out.number(value(credentials->groups[i]));

    out.number(static_cast<std::uint8_t>(labels.size()));
    for (const auto* label : labels) {
        out.number(static_cast<std::uint8_t>(static_cast<std::uint8_t>(label->origin) + 1));
        out.number(static_cast<std::uint8_t>(label->name.size()));
        out.bytes({reinterpret_cast<const std::uint8_t*>(label->name.data()), label->name.size()});
    }
}

std::optional<Answer> get(Reader& in, const Answer*) {
    Answer answer;
    answer.nonce = Nonce{in.number<std::uint64_t>()};
    const auto kind = in.number<std::uint8_t>();
    const auto flags = in.number<std::uint8_t>();
    answer.owner.uid = Uid{in.number<std::uint32_t>()};
    if (!in.good() || kind > static_cast<std::uint8_t>(AnswerKind::translated))
        return std::nullopt;
    answer.owner.kind = from_wire(AnswerKind{kind});
    constexpr std::uint8_t of_credentials =
        has_credentials | has_gid | knows_labels | has_account | is_slurmstepd | has_via;
    const std::uint8_t part = flags & (more_follows | is_busy);
    const std::uint8_t told = flags & of_credentials;
    if ((part | told) != flags || part == (more_follows | is_busy) ||
        (part == more_follows && told != 0) || (told != 0 && (told & has_credentials) == 0) ||
        (part != 0 && answer.owner.kind != OwnerKind::user))
        return std::nullopt;
    if (part != 0)
        answer.part = part == more_follows ? Part::uid : Part::busy;
    if ((flags & has_credentials) != 0) {
        answer.owner.credentials = get_credentials(in, flags, answer.owner.via);
        if (!answer.owner.credentials)
            return std::nullopt;
    }
    return answer;
}

void put(Writer& out, const Gone& gone) {
    out.number(static_cast<std::uint64_t>(gone.nonce));
    put(out, gone.flow);
}

std::optional<Gone> get(Reader& in, const Gone*) {
    const auto nonce = Nonce{in.number<std::uint64_t>()};
    const auto flow = get_flow(in);
    if (!flow)
        return std::nullopt;
    return Gone{nonce, *flow};
}

void put(Writer& out, const GoneSeen& seen) {
    out.number(static_cast<std::uint64_t>(seen.nonce));
}

std::optional<GoneSeen> get(Reader& in, const GoneSeen*) {
    const auto nonce = Nonce{in.number<std::uint64_t>()};
    if (!in.good())
        return std::nullopt;
    return GoneSeen{nonce};
}

// Nonce, flow, flags, uids of connector and listener, pid, job, then counted: reason, comm, groups.
void put(Writer& out, const Refused& refused) {
    const int flags =
        (refused.connector ? refused_connector : 0) | (refused.listener ? refused_listener : 0) |
        (refused.ended ? refused_ended : 0) | (refused.observed ? refused_observed : 0);
    out.number(static_cast<std::uint64_t>(refused.nonce));
    put(out, refused.flow);
    out.number(static_cast<std::uint8_t>(flags));
    out.number(value(refused.connector.value_or(Uid{0})));
    out.number(value(refused.listener.value_or(Uid{0})));
    out.number(value(refused.program.pid));
    out.number(refused.program.job);
    put_text(out, to_string(refused.reason));
    put_text(out, std::string_view(refused.program.comm).substr(0, max_comm));
    const auto groups = std::min(refused.common.size(), max_common);
    out.number(static_cast<std::uint8_t>(groups));
    for (std::size_t i = 0; i < groups; ++i)
        out.number(value(refused.common[i]));
}

std::optional<Refused> get(Reader& in, const Refused*) {
    Refused refused;
    refused.nonce = Nonce{in.number<std::uint64_t>()};
    const auto flow = get_flow(in);
    const auto flags = in.number<std::uint8_t>();
    const auto connector = Uid{in.number<std::uint32_t>()};
    const auto listener = Uid{in.number<std::uint32_t>()};
    refused.program.pid = Pid{in.number<std::int32_t>()};
    refused.program.job = in.number<std::uint32_t>();
    const auto reason = get_reason(in);
    refused.program.comm = get_text(in, max_comm);
    const auto groups = in.number<std::uint8_t>();
    constexpr auto all_flags =
        refused_connector | refused_listener | refused_ended | refused_observed;
    if (!flow || flags > all_flags || !reason || action_of(*reason) == Action::allow ||
        groups > max_common)
        return std::nullopt;
    refused.flow = *flow;
    refused.reason = *reason;
    refused.ended = (flags & refused_ended) != 0;
    refused.observed = (flags & refused_observed) != 0;
    if ((flags & refused_connector) != 0)
        refused.connector = connector;
    if ((flags & refused_listener) != 0)
        refused.listener = listener;
    for (std::uint8_t i = 0; i < groups && in.good(); ++i)
        refused.common.push_back(Gid{in.number<std::uint32_t>()});
    if (!in.good())
        return std::nullopt;
    return refused;
}

// Nonce, flags, uid of a supposed connector, flow.
void put(Writer& out, const Inquiry& inquiry) {
    out.number(static_cast<std::uint64_t>(inquiry.nonce));
    out.number(inquiry.as ? has_uid : std::uint8_t{0});
    out.number(value(inquiry.as.value_or(Uid{0})));
    put(out, inquiry.flow);
}

std::optional<Inquiry> get(Reader& in, const Inquiry*) {
    Inquiry inquiry;
    inquiry.nonce = Nonce{in.number<std::uint64_t>()};
    const auto flags = in.number<std::uint8_t>();
    const auto uid = Uid{in.number<std::uint32_t>()};
    const auto flow = get_flow(in);
    if (!flow || flow->protocol == Protocol::rdma || flags > has_uid)
        return std::nullopt;
    if (flags == has_uid)
        inquiry.as = uid;
    inquiry.flow = *flow;
    return inquiry;
}

// Nonce, flags, uids of connector and listener, then counted: reason.
void put(Writer& out, const Decision& decision) {
    const int flags =
        (decision.connector ? decided_connector : 0) | (decision.listener ? decided_listener : 0) |
        (decision.observed ? decided_observed : 0) | (decision.unwatched ? decided_unwatched : 0);
    out.number(static_cast<std::uint64_t>(decision.nonce));
    out.number(static_cast<std::uint8_t>(flags));
    out.number(value(decision.connector.value_or(Uid{0})));
    out.number(value(decision.listener.value_or(Uid{0})));
    put_text(out, to_string(decision.reason));
}

std::optional<Decision> get(Reader& in, const Decision*) {
    Decision decision;
    decision.nonce = Nonce{in.number<std::uint64_t>()};
    const auto flags = in.number<std::uint8_t>();
    const auto connector = Uid{in.number<std::uint32_t>()};
    const auto listener = Uid{in.number<std::uint32_t>()};
    const auto reason = get_reason(in);
    constexpr auto all_flags =
        decided_connector | decided_listener | decided_observed | decided_unwatched;
    if (!in.good() || flags > all_flags || !reason)
        return std::nullopt;
    decision.reason = *reason;
    decision.observed = (flags & decided_observed) != 0;
    decision.unwatched = (flags & decided_unwatched) != 0;
    if ((flags & decided_connector) != 0)
        decision.connector = connector;
    if ((flags & decided_listener) != 0)
        decision.listener = listener;
    return decision;
}

} // namespace ubf::ident
