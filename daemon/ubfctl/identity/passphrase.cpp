#include "passphrase.hpp"

#include "base/unique_fd.hpp"
#include "base/write_all.hpp"
#include "files.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sodium.h>
#include <termios.h>
#include <unistd.h>

namespace ubf::ctl {
namespace {

constexpr std::size_t most = 1024;
constexpr std::size_t least = 8;

// The terminal without an echo, for as long as this lives.
class Silence {
  public:
    explicit Silence(int fd)
      : fd_(fd) {
        if (::tcgetattr(fd_, &before_) != 0)
            throw FileError("no terminal to ask for the passphrase; give --passphrase-file");
        auto silent = before_;
        silent.c_lflag &= ~static_cast<tcflag_t>(ECHO);
        ::tcsetattr(fd_, TCSAFLUSH, &silent);
    }
    Silence(const Silence&) = delete;
    Silence& operator=(const Silence&) = delete;
    ~Silence() { ::tcsetattr(fd_, TCSAFLUSH, &before_); }

  private:
    int fd_;
    termios before_{};
};

std::string ask(int fd, std::string_view prompt) {
    const Silence silence(fd);
    static_cast<void>(write_all(fd, prompt));
    std::string line;
    line.reserve(most);
    for (char c = 0; ::read(fd, &c, 1) == 1 && c != '\n' && line.size() < most;)
        line += c;
    static_cast<void>(write_all(fd, "\n"));
    return line;
}

} // namespace

Passphrase::~Passphrase() {
    sodium_memzero(text_.data(), text_.size());
}

Passphrase ask_passphrase(const std::optional<std::string>& file, Asked asked) {
    std::string text;
    if (file) {
        auto all = read_secret(*file);
        text = all.substr(0, all.find('\n'));
        sodium_memzero(all.data(), all.size());
    } else {
        const UniqueFd terminal(::open("/dev/tty", O_RDWR | O_CLOEXEC));
        if (!terminal)
            throw FileError("no terminal to ask for the passphrase; give --passphrase-file");
        text = ask(terminal.get(), "Passphrase of the signing key: ");
        if (asked == Asked::twice && ask(terminal.get(), "The same again: ") != text)
            throw FileError("the two passphrases differ");
    }
    if (text.size() < least)
        throw FileError(fmt::format("a passphrase has {} characters or more", least));
    return Passphrase(std::move(text));
}

} // namespace ubf::ctl
