// Bounds-checked reading and writing of network-order numbers. After its first failure, a reader or
// writer stays failed. One check at the end of a format is then enough.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

namespace ubf {

class Reader {
  public:
    explicit Reader(std::span<const std::uint8_t> bytes)
      : bytes_(bytes) {}

    bool good() const { return good_; }
    bool at_end() const { return good_ && bytes_.empty(); }

    std::span<const std::uint8_t> take(std::size_t count) {
        if (!good_ || bytes_.size() < count) {
            good_ = false;
            return {};
        }
        const auto taken = bytes_.first(count);
        bytes_ = bytes_.subspan(count);
        return taken;
    }

    template<typename T>
    T number() {
        std::uint64_t result = 0;
        for (const auto byte : take(sizeof(T)))
            result = result << 8 | byte;
        return static_cast<T>(result);
    }

  private:
    std::span<const std::uint8_t> bytes_;
    bool good_ = true;
};

class Writer {
  public:
    explicit Writer(std::span<std::uint8_t> bytes)
      : bytes_(bytes) {}

    bool good() const { return good_; }
    std::size_t written() const { return written_; }

    void bytes(std::span<const std::uint8_t> source) {
        if (!good_ || bytes_.size() - written_ < source.size()) {
            good_ = false;
            return;
        }
        std::ranges::copy(source, bytes_.begin() + static_cast<std::ptrdiff_t>(written_));
        written_ += source.size();
    }

    template<typename T>
    void number(T value) {
        std::uint8_t out[sizeof(T)];
        auto rest = static_cast<std::uint64_t>(value);
        for (std::size_t i = sizeof(T); i-- > 0; rest >>= 8)
            out[i] = static_cast<std::uint8_t>(rest & 0xff);
        bytes(out);
    }

  private:
    std::span<std::uint8_t> bytes_;
    std::size_t written_ = 0;
    bool good_ = true;
};

} // namespace ubf
