#include "daemon/portal/resolver.hpp"

#include "base/unique_fd.hpp"
#include "daemon/core/thread.hpp"
#include "flow/host_addresses.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <fcntl.h>
#include <linux/openat2.h>
#include <netdb.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <utility>

namespace ubf::portal {
namespace {

// glibc 2.36 has no function for it.
int open_beneath(int directory, const char* name) {
    open_how how{};
    how.flags = O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK; // a FIFO does not hold it up
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV;
    return static_cast<int>(::syscall(SYS_openat2, directory, name, &how, sizeof how));
}

// One descriptor is looked at and read, so the file can't be exchanged between.
std::string text_of(int fd) {
    std::array<char, most_in_forward + 1> buffer;
    std::size_t length = 0;
    while (length < buffer.size()) {
        const auto count = ::read(fd, buffer.data() + length, buffer.size() - length);
        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0)
            break;
        length += static_cast<std::size_t>(count);
    }
    return {buffer.data(), length};
}

Refusal no_forward() {
    return not_a_target("There is no forward of this name.");
}

} // namespace

Result<Place, Refusal> read_forward(const std::string& directory, const std::string& name) {
    const UniqueFd folder(
        ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    struct stat state {};
    if (!folder || ::fstat(folder.get(), &state) < 0)
        return fail(no_forward());
    if (!keeps_files_apart(state))
        return fail(not_a_target("The directory of forwards is not root's, or not sticky."));
    const UniqueFd file(open_beneath(folder.get(), name.c_str()));
    if (!file || ::fstat(file.get(), &state) < 0)
        return fail(no_forward());
    if (!is_sound_forward(state))
        return fail(not_a_target("Others may have written this forward, or linked to its file."));
    return parse_forward(text_of(file.get()));
}

std::vector<Address> addresses_of(const std::string& name) {
    return host_addresses(name, AI_ADDRCONFIG);
}

Resolver::Resolver(Mailbox& mailbox)
  : mailbox_(mailbox) {
    for (std::size_t i = 0; i < threads; ++i)
        threads_.emplace_back([this] {
            enter_thread("names");
            run();
        });
}

Resolver::~Resolver() {
    work_.lock()->stopping = true;
    news_.notify_all();
    for (auto& thread : threads_)
        thread.join();
}

bool Resolver::begin(const std::string& person, Task task) {
    const auto work = work_.lock();
    if (work->tasks.size() >= most)
        return false;
    auto& number = work->numbers[person].all;
    if (number >= most_of_one)
        return false;
    ++number;
    work->tasks.emplace_back(person, std::move(task));
    news_.notify_one();
    return true;
}

std::deque<std::pair<std::string, Resolver::Task>>::iterator Resolver::Work::next() {
    return std::ranges::find_if(tasks, [this](const auto& entry) {
        return numbers.at(entry.first).running < most_running_of_one;
    });
}

void Resolver::run() {
    auto work = work_.lock();
    while (true) {
        news_.wait(work.mutex(),
                   [&] { return work->stopping || work->next() != work->tasks.end(); });
        if (work->stopping)
            return;
        const auto next = work->next();
        auto [person, task] = std::move(*next);
        work->tasks.erase(next);
        ++work->numbers[person].running;
        work.mutex().unlock();
        mailbox_.post(task());
        work.mutex().lock();
        auto& number = work->numbers[person];
        --number.running;
        if (--number.all == 0)
            work->numbers.erase(person);
    }
}

} // namespace ubf::portal
