#include "daemon/jobs/job_json.hpp"

#include "base/escape.hpp"
#include "identity/armour.hpp"
#include "identity/grant.hpp"
#include "label/label.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <limits>
#include <optional>

namespace ubf {
namespace {

using Json = nlohmann::ordered_json;

std::optional<std::uint32_t> number_at(const Json& json, const char* key) {
    const auto found = json.find(key);
    if (found == json.end() || !found->is_number_unsigned())
        return std::nullopt;
    const auto number = found->get<std::uint64_t>();
    if (number >= std::numeric_limits<std::uint32_t>::max())
        return std::nullopt;
    return static_cast<std::uint32_t>(number);
}

// A valid label name, or an empty one if the key is missing.
Result<std::string, std::string> name_at(const Json& json, const char* key) {
    const auto found = json.find(key);
    if (found == json.end())
        return std::string();
    if (!found->is_string())
        return fail(fmt::format("{} is not a text", key));
    auto name = found->get<std::string>();
    if (!name.empty() && !is_label_name(name))
        return fail(fmt::format("{} '{}'{} is refused: a name has up to {} printable characters, "
                                "without blanks, quotes and backslashes",
                                key, escape(std::string_view(name).substr(0, max_label_name)),
                                name.size() > max_label_name ? "..." : "", max_label_name));
    return name;
}

// Another node checks the signature. Here it is known whether the grant is for this job's user.
Result<std::string, std::string> grant_at(const Json& json, Uid uid) {
    const auto found = json.find("grant");
    if (found == json.end())
        return std::string();
    if (!found->is_string())
        return fail(std::string("grant is not a text"));
    auto text = found->get<std::string>();
    if (text.empty())
        return text;
    const auto bytes = identity::unarmour(identity::Kind::grant, text, identity::max_grant);
    const auto grant = bytes ? std::optional(identity::parse_grant(*bytes)) : std::nullopt;
    if (!grant || !*grant)
        return fail(std::string("grant is none as 'ubfctl grant' prints it"));
    if ((*grant)->uid != uid)
        return fail(fmt::format("grant is for uid {}, and the job is that of uid {}",
                                value((*grant)->uid), value(uid)));
    return text;
}

// A name of this form could be taken for another job's id.
bool is_sluid(std::string_view name) {
    return name.empty() ||
           (name.starts_with('s') && name.find_first_of("/._-") == std::string_view::npos);
}

} // namespace

nlohmann::ordered_json to_json(const Job& job) {
    return {{"job", job.id},      {"sluid", job.sluid},     {"uid", value(job.uid)},
            {"label", job.label}, {"account", job.account}, {"partition", job.partition},
            {"grant", job.grant}};
}

Result<Job, std::string> job_of(const Json& json) {
    Job job;
    const auto id = number_at(json, "job");
    const auto uid = number_at(json, "uid");
    if (!id || *id == 0)
        return fail(std::string("job is not the number of a job"));
    if (!uid)
        return fail(std::string("uid is not the number of a user"));
    job.id = *id;
    job.uid = Uid{*uid};
    for (const auto& [key, field] :
         {std::pair{"sluid", &job.sluid}, std::pair{"label", &job.label},
          std::pair{"account", &job.account}, std::pair{"partition", &job.partition}}) {
        auto name = name_at(json, key);
        if (!name)
            return fail(std::string(name.error()));
        *field = std::move(*name);
    }
    auto grant = grant_at(json, job.uid);
    if (!grant)
        return fail(std::string(grant.error()));
    job.grant = std::move(*grant);
    if (!is_sluid(job.sluid))
        return fail(fmt::format("sluid '{}' is not as Slurm makes them", escape(job.sluid)));
    return job;
}

} // namespace ubf
