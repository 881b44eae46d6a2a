// Lines of a stream that comes in pieces. Each byte is looked at once for a line's end, however
// many pieces a line has.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace ubf {

class Lines {
  public:
    void add(std::string_view piece) {
        text_ += piece;
        find_end();
    }
    bool has_one() const { return end_ != std::string::npos; }
    // The first line, without its end.
    std::optional<std::string> take() {
        if (!has_one())
            return std::nullopt;
        auto line = text_.substr(0, end_);
        text_.erase(0, end_ + 1);
        end_ = std::string::npos;
        looked_at_ = 0;
        find_end();
        return line;
    }
    std::size_t size() const { return text_.size(); } // of all that was not taken

  private:
    void find_end() {
        if (has_one())
            return;
        end_ = text_.find('\n', looked_at_);
        looked_at_ = has_one() ? end_ + 1 : text_.size();
    }

    std::string text_;
    std::size_t end_ = std::string::npos; // of the first line
    std::size_t looked_at_ = 0;
};

} // namespace ubf
