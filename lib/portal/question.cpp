#include "portal/question.hpp"

#include "base/text.hpp"

#include <algorithm>
#include <cctype>
#include <optional>

namespace ubf::portal {
namespace {

constexpr std::string_view path = "/v1/may";
constexpr std::size_t most_in_user = 256;

bool alike(std::string_view a, std::string_view b) {
    return std::ranges::equal(a, b, [](char x, char y) {
        return std::tolower(static_cast<unsigned char>(x)) ==
               std::tolower(static_cast<unsigned char>(y));
    });
}

std::string_view trimmed(std::string_view text) {
    constexpr std::string_view blanks = " \t";
    text.remove_prefix(std::min(text.find_first_not_of(blanks), text.size()));
    const auto last = text.find_last_not_of(blanks);
    return text.substr(0, last == std::string_view::npos ? 0 : last + 1);
}

// A value that may be said at most once in each of two places.
class Once {
  public:
    void say_in_header(std::string_view value) { put(header_, std::string(value)); }
    void say_in_query(std::optional<std::string> value) {
        if (value)
            put(query_, *std::move(value));
        else
            fits_ = false;
    }
    // Whether all that was said is the same.
    bool fits() const { return fits_ && (!header_ || !query_ || *header_ == *query_); }
    std::string value() const { return header_ ? *header_ : query_.value_or(""); }

  private:
    void put(std::optional<std::string>& place, std::string value) {
        if (place)
            fits_ = false;
        place = std::move(value);
    }

    std::optional<std::string> header_;
    std::optional<std::string> query_;
    bool fits_ = true;
};

// RFC 3986, 2.1. Nothing if a percent sign has no two digits behind it.
std::optional<std::string> decoded(std::string_view text) {
    std::string result;
    while (!text.empty()) {
        if (text.front() != '%') {
            result += text.front();
            text.remove_prefix(1);
            continue;
        }
        const auto byte =
            text.size() < 3 ? std::nullopt : number<std::uint8_t>(text.substr(1, 2), 16);
        if (!byte)
            return std::nullopt;
        result += static_cast<char>(*byte);
        text.remove_prefix(3);
    }
    return result;
}

struct Said {
    Once user;
    Once target;
    Once source;
};

void add_query(std::string_view uri, Said& said) {
    const auto mark = uri.find('?');
    if (mark == std::string_view::npos)
        return;
    uri.remove_prefix(mark + 1);
    while (!uri.empty()) {
        auto value = split(uri, '&');
        const auto name = split(value, '=');
        if (name == "user")
            said.user.say_in_query(decoded(value));
        else if (name == "target")
            said.target.say_in_query(decoded(value));
    }
}

void add_fields(std::span<const Field> fields, Said& said) {
    for (const auto& field : fields) {
        const auto value = trimmed(field.value);
        if (alike(field.name, "UBF-User"))
            said.user.say_in_header(value);
        else if (alike(field.name, "UBF-Target"))
            said.target.say_in_header(value);
        else if (alike(field.name, "UBF-Want-Source"))
            said.source.say_in_header(value);
    }
}

} // namespace

// No other program misreads it on the way.
bool is_user(std::string_view user) {
    const auto is_inner = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               std::string_view("_.@+-").find(c) != std::string_view::npos;
    };
    return !user.empty() && user.size() <= most_in_user && std::ranges::all_of(user, is_inner) &&
           std::string_view(".@+-").find(user.front()) == std::string_view::npos &&
           user.find("..") == std::string_view::npos;
}

bool is_question(std::string_view uri) {
    return uri.starts_with(path);
}

Result<Question, Refusal> parse_question(std::string_view uri, std::span<const Field> fields) {
    Said said;
    add_query(uri, said);
    add_fields(fields, said);
    if (!said.user.fits())
        return fail(malformed("The portal names the user in two ways."));
    if (!said.target.fits())
        return fail(malformed("The portal names the target in two ways."));
    const auto source = said.source.value();
    if (!said.source.fits() || (!source.empty() && source != "0" && source != "1"))
        return fail(malformed("The portal's UBF-Want-Source is neither 0 nor 1."));
    auto user = said.user.value();
    if (user.empty())
        return fail(Refusal{"no-user", "Nobody is logged in.", 401});
    if (!is_user(user))
        return fail(malformed("The portal's user is no user's name."));
    auto target = parse_target(said.target.value());
    if (!target)
        return fail(target.error());
    return Question{std::move(user), *std::move(target), source == "1"};
}

// The first that it takes; q=0 means that it takes none.
Form form_of(std::span<const Field> fields) {
    for (const auto& field : fields) {
        if (!alike(field.name, "Accept"))
            continue;
        auto rest = field.value;
        while (!rest.empty()) {
            auto parameters = split(rest, ',');
            const auto type = trimmed(split(parameters, ';'));
            if (trimmed(parameters) == "q=0")
                continue;
            if (alike(type, "text/html"))
                return Form::html;
            if (alike(type, "application/json"))
                return Form::json;
        }
    }
    return Form::none;
}

} // namespace ubf::portal
