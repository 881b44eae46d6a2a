#include "nft/stand_in.hpp"

#include "nft/inspection.hpp"
#include "nft/statement.hpp"

#include <algorithm>

namespace ubf::nft {

Ruleset as_stand_in(Ruleset ruleset) {
    const auto verdict = std::ranges::find(ruleset.chains, "verdict", &Chain::name);
    if (verdict != ruleset.chains.end())
        verdict->rules.push_back({"ubf:verdict:stand_in",
                                  "ubfd made this table, for the imported one was gone.",
                                  {statement::leave()}});
    return ruleset;
}

Result<Imported, NftError> look_for_import(Installer& installer, const Ruleset& ruleset) {
    const auto missing = installer.missing(ruleset);
    if (!missing)
        return fail(missing.error());
    if (missing->empty())
        return Imported{Imported::State::complete, {}};
    if (std::ranges::any_of(*missing, is_absence))
        return Imported{Imported::State::gone, *missing};
    const auto as_ours = installer.missing(as_stand_in(ruleset));
    if (!as_ours)
        return fail(as_ours.error());
    if (std::ranges::none_of(*as_ours, is_absence))
        return Imported{Imported::State::stand_in, *as_ours};
    return Imported{Imported::State::altered, *missing};
}

} // namespace ubf::nft
