#include "daemon/portal/resolver.hpp"

#include "base/unique_fd.hpp"
#include "daemon/core/thread.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <linux/openat2.h>
#include <memory>
#include <netdb.h>
#include <netinet/in.h>
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

std::optional<Address> address_of(const sockaddr& address) {
    if (address.sa_family == AF_INET) {
        std::array<std::uint8_t, 4> bytes{};
        std::memcpy(bytes.data(), &reinterpret_cast<const sockaddr_in&>(address).sin_addr, 4);
        return Address::v4(bytes);
    }
    if (address.sa_family != AF_INET6)
        return std::nullopt;
    Address::Bytes bytes{};
    std::memcpy(bytes.data(), &reinterpret_cast<const sockaddr_in6&>(address).sin6_addr, 16);
    return Address::v6(bytes);
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
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_ADDRCONFIG;
    addrinfo* first = nullptr;
    if (::getaddrinfo(name.c_str(), nullptr, &hints, &first) != 0)
        return {};
    const std::unique_ptr<addrinfo, void (*)(addrinfo*)> all(first, ::freeaddrinfo);
    std::vector<Address> addresses;
    for (const auto* one = first; one != nullptr; one = one->ai_next)
        if (const auto address = address_of(*one->ai_addr);
            address && std::ranges::find(addresses, *address) == addresses.end())
            addresses.push_back(*address);
    return addresses;
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
    auto& number = work->numbers[person];
    if (number >= most_of_one)
        return false;
    ++number;
    work->tasks.emplace_back(person, std::move(task));
    news_.notify_one();
    return true;
}

void Resolver::run() {
    auto work = work_.lock();
    while (true) {
        news_.wait(work.mutex(), [&] { return work->stopping || !work->tasks.empty(); });
        if (work->stopping)
            return;
        auto [person, task] = std::move(work->tasks.front());
        work->tasks.pop_front();
        work.mutex().unlock();
        mailbox_.post(task());
        work.mutex().lock();
        if (--work->numbers[person] == 0)
            work->numbers.erase(person);
    }
}

} // namespace ubf::portal
