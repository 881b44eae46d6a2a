// The interfaces of a node that are watched: all, those of a list, or all but those of a list.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace ubf {

// The name of an interface, or the beginning of several names with a star: "eth0", "eth*".
class InterfacePattern {
  public:
    explicit InterfacePattern(std::string text)
      : text_(std::move(text)) {}

    bool is_prefix() const { return text_.ends_with('*'); }
    // The name, or the common beginning of the names.
    std::string_view name() const {
        const std::string_view all = text_;
        return all.substr(0, all.size() - (is_prefix() ? 1 : 0));
    }
    bool matches(std::string_view interface) const {
        return is_prefix() ? interface.starts_with(name()) : interface == name();
    }
    // Whether both can match one interface.
    bool overlaps(const InterfacePattern& other) const {
        return matches(other.name()) || other.matches(name());
    }
    const std::string& text() const { return text_; }

    bool operator==(const InterfacePattern&) const = default;

  private:
    std::string text_;
};

struct WatchedInterfaces {
    std::vector<InterfacePattern> listed{}; // none: all are watched, loopback included
    bool except = false;                    // all but the listed

    bool watches(std::string_view interface) const {
        if (listed.empty())
            return true;
        for (const auto& pattern : listed)
            if (pattern.matches(interface))
                return !except;
        return except;
    }
    bool are_all() const { return listed.empty(); }

    bool operator==(const WatchedInterfaces&) const = default;
};

} // namespace ubf
