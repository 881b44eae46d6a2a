#include "label/label_map.hpp"

#include "base/uid_ranges.hpp"

#include <algorithm>

namespace ubf {

bool LabelMapping::applies(Uid uid, std::span<const Gid> groups_of_user, const Job* job) const {
    const auto lists = [](const auto& list, const auto& item) {
        return std::ranges::find(list, item) != list.end();
    };
    return contains(users, uid) ||
           std::ranges::any_of(groups_of_user, [&](Gid gid) { return lists(groups, gid); }) ||
           (job != nullptr && (lists(accounts, job->account) || lists(partitions, job->partition)));
}

} // namespace ubf
