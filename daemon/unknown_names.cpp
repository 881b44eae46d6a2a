#include "daemon/unknown_names.hpp"

#include "daemon/core/thread.hpp"

#include <chrono>
#include <exception>
#include <thread>
#include <utility>

namespace ubf {

std::optional<Config> UnknownNames::look(const Config& config, const std::string& file,
                                         TimePoint now) {
    constexpr std::chrono::seconds pause{30};
    if (asked_) {
        if (asked_->wait_for(std::chrono::seconds(0)) != std::future_status::ready)
            return std::nullopt;
        auto fresh = std::exchange(asked_, std::nullopt)->get();
        const bool news = fresh.source.text == config.source.text &&
                          fresh.unknown.names.size() < config.unknown.names.size();
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
    std::thread([promise = std::move(promise), text = config.source.text, file]() mutable {
        enter_thread("names");
        Config fresh;
        try {
            fresh = parse_config(text, file, Names::look_up_or_list);
        } catch (const std::exception&) { // the text was good, so memory has run out
        }
        promise.set_value(std::move(fresh));
    }).detach();
}

} // namespace ubf
