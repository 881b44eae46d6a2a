#include "daemon/unknown_names.hpp"

#include "daemon/core/thread.hpp"

#include <chrono>
#include <exception>
#include <thread>
#include <utility>

namespace ubf {

namespace {

// Fewer names are unknown. A slurm.conf that was bad and is good now may have more of them.
bool knows_more(const Config& fresh, const Config& old) {
    return fresh.unknown.names.size() < old.unknown.names.size() ||
           (old.slurm.is_bad() && !fresh.slurm.is_bad());
}

} // namespace

std::optional<Config> UnknownNames::look(const Config& config, const std::string& file,
                                         TimePoint now) {
    constexpr std::chrono::seconds pause{30};
    if (asked_) {
        if (asked_->wait_for(std::chrono::seconds(0)) != std::future_status::ready)
            return std::nullopt;
        auto fresh = std::exchange(asked_, std::nullopt)->get();
        const bool news = fresh.source.text == config.source.text && knows_more(fresh, config);
        return news ? std::optional(std::move(fresh)) : std::nullopt;
    }
    if (!config.unknown.names.empty() && now - last_ >= pause) {
        last_ = now;
        ask(config, file);
    }
    return std::nullopt;
}

void UnknownNames::ask(const Config& config, const std::string& file) {
    std::promise<Config> promise;
    asked_ = promise.get_future();
    // A slurm.conf that was good holds until a reload: it may be half written at this moment.
    std::thread([promise = std::move(promise), text = config.source.text,
                 texts = config.slurm.texts, file]() mutable {
        enter_thread("names");
        Config fresh;
        try {
            fresh = parse_config(text, file, Names::look_up_or_list, texts);
        } catch (const std::exception&) { // the text was good, so memory has run out
        }
        promise.set_value(std::move(fresh));
    }).detach();
}

} // namespace ubf
