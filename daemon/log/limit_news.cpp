#include "daemon/log/limit_news.hpp"

namespace ubf {

std::vector<Uid> LimitNews::tell(const std::vector<Uid>& over, TimePoint now) {
    std::erase_if(told_, [&](const auto& told) { return now - told.second >= again_after; });
    std::vector<Uid> news;
    for (const Uid uid : over)
        if (told_.size() < most && told_.emplace(uid, now).second)
            news.push_back(uid);
    return news;
}

} // namespace ubf
