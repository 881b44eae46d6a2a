// The passphrase of the authority's key: from a file, or from the terminal without an echo.
#pragma once

#include <optional>
#include <string>

namespace ubf::ctl {

class Passphrase {
  public:
    explicit Passphrase(std::string text)
      : text_(std::move(text)) {}
    Passphrase(const Passphrase&) = delete;
    Passphrase& operator=(const Passphrase&) = delete;
    Passphrase(Passphrase&&) = default;
    ~Passphrase(); // leaves no copy in memory

    const std::string& text() const { return text_; }

  private:
    std::string text_;
};

// file: its first line. Otherwise asks; a new one twice. Throws FileError.
enum class Asked : bool { once, twice };
Passphrase ask_passphrase(const std::optional<std::string>& file, Asked asked);

} // namespace ubf::ctl
