#include "daemon/ubfctl/doctor/parse.hpp"

#include "base/text.hpp"
#include "daemon/ubfctl/files.hpp"

#include <filesystem>
#include <fmt/format.h>

namespace ubf::ctl::doctor {
namespace {

constexpr unsigned deepest = 4;

class Pam {
  public:
    explicit Pam(const OpenService& open)
      : open_(open) {}

    // Whether there is such a file, within the bounds.
    bool read(const std::string& service, unsigned depth) {
        if (depth > deepest || read_++ >= most_included)
            return false;
        const auto text = open_(service);
        each_line(text.value_or(std::string()),
                  [&](std::string_view line) { take(words(line), depth); });
        return text.has_value();
    }

    std::vector<PamLine> lines;

  private:
    void take(const std::vector<std::string>& fields, unsigned depth) {
        if (fields.size() == 2 && fields[0] == "@include")
            return static_cast<void>(read(fields[1], depth + 1));
        if (fields.size() < 3)
            return;
        auto type = to_lower(fields[0]);
        type.erase(0, type.starts_with('-') ? 1 : 0);
        std::size_t module = 2; // a control in brackets has blanks
        std::string control = fields[1];
        while (control.starts_with('[') && !control.ends_with(']') && module + 1 < fields.size())
            control += " " + fields[module++];
        if (control == "include" || control == "substack")
            return static_cast<void>(read(fields[module], depth + 1));
        lines.push_back({type, control, std::filesystem::path(fields[module]).filename().string()});
    }

    const OpenService& open_;
    unsigned read_ = 0;
};

class Sshd {
  public:
    explicit Sshd(const OpenFiles& open)
      : open_(open) {}

    void read(const std::string& pattern, unsigned depth) {
        if (depth > deepest || !value.empty() || read_++ >= most_included)
            return;
        for (const auto& text : open_(pattern))
            take(text, depth);
    }

    std::string value;

  private:
    void take(std::string_view text, unsigned depth) {
        bool in_match = false;
        each_line(text, [&](std::string_view line) {
            const auto fields = words(line);
            const auto key = to_lower(fields.front());
            in_match |= key == "match";
            if (in_match || !value.empty() || fields.size() < 2)
                return;
            if (key == "usepam")
                value = fields[1];
            if (key == "include")
                read(fields[1].starts_with('/') ? fields[1] : "/etc/ssh/" + fields[1], depth + 1);
        });
    }

    const OpenFiles& open_;
    unsigned read_ = 0;
};

} // namespace

std::optional<std::string> mount_options(std::string_view text, std::string_view place,
                                         std::string_view type) {
    std::optional<std::string> options;
    each_line(text, [&](std::string_view line) {
        const auto fields = words(line);
        if (fields.size() > 3 && fields[1] == place && (type.empty() || fields[2] == type))
            options = fields[3];
    });
    return options;
}

void add_kept_out(std::string_view text, std::set<std::string>& names) {
    each_line(text, [&](std::string_view line) {
        const auto fields = words(line);
        if (fields.size() >= 3 && fields[0] == "install" &&
            (fields[2].ends_with("/false") || fields[2].ends_with("/true")))
            names.insert(fields[1]);
    });
}

std::set<std::string> module_names(std::string_view text) {
    std::set<std::string> names;
    each_line(text, [&](std::string_view line) {
        auto name = line.substr(0, line.find(':'));
        name.remove_prefix(name.find_last_of('/') + 1);
        names.emplace(name.substr(0, name.find('.')));
    });
    return names;
}

std::optional<std::pair<unsigned, unsigned>> slurm_version(std::string_view text) {
    const auto fields = words(trim(text));
    if (fields.size() < 2)
        return std::nullopt;
    std::string_view rest = fields[1];
    const auto major = number<unsigned>(split(rest, '.'));
    const auto minor = number<unsigned>(split(rest, '.'));
    if (!major || !minor)
        return std::nullopt;
    return std::pair(*major, *minor);
}

bool tells_of_jobs(std::string_view text, std::string_view hook) {
    const auto script = fmt::format("slurm/{}", hook);
    const std::string_view command = hook == "prolog" ? "job begin" : "job end";
    bool names_ubfctl = false;
    bool runs = false;
    bool is_ours = false;
    each_line(text, [&](std::string_view line) {
        names_ubfctl |= line.find("ubfctl") != std::string_view::npos;
        runs |= line.find(command) != std::string_view::npos;
        // No folder of scripts, such as /etc/slurm/prolog.d.
        const auto at = line.find(script);
        const auto behind = at == std::string_view::npos ? line : line.substr(at + script.size());
        is_ours |= at != std::string_view::npos &&
                   (behind.empty() ||
                    std::string_view(" \t\"';&|)").find(behind.front()) != std::string_view::npos);
    });
    return is_ours || (names_ubfctl && runs);
}

std::optional<std::vector<PamLine>> pam_lines(const std::string& service, const OpenService& open) {
    Pam pam(open);
    return pam.read(service, 0) ? std::optional(std::move(pam.lines)) : std::nullopt;
}

std::string use_pam(const std::string& file, const OpenFiles& open) {
    Sshd sshd(open);
    sshd.read(file, 0);
    return std::move(sshd.value);
}

} // namespace ubf::ctl::doctor
