#include "daemon/core/loading.hpp"

#include "daemon/core/thread.hpp"

#include <chrono>
#include <csignal>
#include <exception>
#include <future>
#include <linux/capability.h>
#include <system_error>
#include <thread>
#include <utility>

namespace ubf {
namespace {

// systemd waits longer for a start.
constexpr std::chrono::seconds patience{15};

// Signals are the main thread's, and it has not blocked them yet when the daemon starts.
template<typename Work>
void detach(Work work) {
    sigset_t all, before;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before);
    try {
        std::thread(std::move(work)).detach();
    } catch (...) {
        ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
        throw;
    }
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

void enter() {
    enter_thread("names", {CAP_DAC_READ_SEARCH}); // the files are root's
}

} // namespace

Config load_to_start(const std::filesystem::path& file) {
    std::promise<Config> promise;
    auto loaded = promise.get_future();
    detach([promise = std::move(promise), file]() mutable {
        enter();
        try {
            promise.set_value(load_config(file, Names::look_up_or_list));
        } catch (...) {
            promise.set_exception(std::current_exception());
        }
    });
    if (loaded.wait_for(patience) == std::future_status::ready)
        return loaded.get();
    return load_config(file, Names::list);
}

Loading::Loading(EventLoop& loop, std::filesystem::path file, Take take, Names names)
  : file_(std::move(file))
  , take_(std::move(take))
  , names_(names) {
    loop.watch(mail_->fd(), [mail = mail_.get()] { mail->run(); });
}

void Loading::begin(Reply reply) {
    replies_.push_back(std::move(reply));
    if (under_way_)
        again_ = true;
    else
        read();
}

void Loading::read() {
    under_way_ = true;
    const auto work = [this, mail = mail_, file = file_, names = names_] {
        enter();
        Loaded loaded = fail(std::string());
        try {
            loaded = load_config(file, names);
        } catch (const std::exception& error) {
            loaded = fail(std::string(error.what()));
        }
        mail->post([this, loaded] { end(loaded); });
    };
    try {
        detach(work);
    } catch (const std::system_error& error) {
        end(fail(std::string(error.what())));
    }
}

void Loading::end(Loaded loaded) {
    under_way_ = false;
    if (std::exchange(again_, false))
        return read();
    const auto mistake = take_(std::move(loaded));
    for (const auto& reply : std::exchange(replies_, {}))
        reply(mistake);
}

} // namespace ubf
