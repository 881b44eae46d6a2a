#include "daemon/log/log.hpp"

#include "base/escape.hpp"
#include "daemon/core/thread.hpp"
#include "daemon/core/thread_watch.hpp"

#include <algorithm>
#include <cstdlib>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <syslog.h>
#include <unistd.h>
#include <utility>

#define SD_JOURNAL_SUPPRESS_LOCATION
#include <systemd/sd-journal.h>

namespace ubf {
namespace {

// systemd says in JOURNAL_STREAM which file stderr is, when it leads to the journal
// (sd_journal(3)).
bool stderr_is_journal() {
    const char* stream = std::getenv("JOURNAL_STREAM");
    struct stat info {};
    return stream != nullptr && ::fstat(STDERR_FILENO, &info) == 0 &&
           stream == fmt::format("{}:{}", info.st_dev, info.st_ino);
}

std::string timestamp(std::chrono::system_clock::time_point time) {
    const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch());
    return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z", fmt::gmtime(time), ms.count() % 1000);
}

// How long all lines that wait together wait for names. A directory that answers, even slowly, does
// so within it.
constexpr std::chrono::seconds patience{1};

std::string name_of(Uid uid, UserCache& users, TimePoint until) {
    const auto left = std::max(until - Clock::now(), Clock::duration{});
    return users.name(uid, std::chrono::duration_cast<std::chrono::milliseconds>(left));
}

std::string user_text(const Owner& owner, UserCache& users, TimePoint until) {
    return owner.kind == OwnerKind::user ? name_of(owner.uid, users, until)
                                         : std::string(to_string(owner.kind));
}

// " via=www-data(33)", of a web portal's connection.
std::string via_text(const Owner& owner, UserCache& users, TimePoint until) {
    return owner.via ? fmt::format(" via={}", name_of(*owner.via, users, until)) : std::string();
}

std::string process_text(const Owner& owner) {
    if (!owner.credentials || owner.credentials->process.pid == Pid{})
        return "?";
    const auto& process = owner.credentials->process;
    const auto text = fmt::format("{}[{}]", escape_word(process.comm), value(process.pid));
    return process.job == 0 ? text : fmt::format("{} job={}", text, process.job);
}

std::string_view verb_of(const Denial& denial) {
    if (denial.tries > 0)
        return "scanned";
    if (denial.told_by)
        return "refused-there";
    if (denial.observed)
        return denial.ended ? "would-end" : "would-deny";
    return denial.ended ? "ended" : "denied";
}

// The MESSAGE_ID of each kind of line, by which the journal's catalogue explains it
// (systemd/ubf.catalog, journalctl -x).
constexpr std::pair<std::string_view, std::string_view> message_ids[] = {
    {"denied", "488032757ee0e405ae8418f4fef1ae5b"},
    {"ended", "eac206d83aa915e0e6a68afb92b50a93"},
    {"would-deny", "4e26b367689a4342f4c59b15a850816c"},
    {"would-end", "f24e51f8acf1c6d22d60df585d418209"},
    {"scanned", "e943d99d477dd1bf68debe91c29476c3"},
    {"refused-there", "813d0933389012acdcb26255bf60b4e7"},
};

std::string_view message_id(std::string_view verb) {
    return std::ranges::find(message_ids, verb, [](const auto& row) { return row.first; })->second;
}

std::string_view hint_for(const Denial& denial) {
    return hint(denial.reason,
                denial.listener.kind == OwnerKind::user && denial.listener.uid == Uid{0});
}

void add_owner(std::vector<std::string>& fields, std::string_view end, const Owner& owner,
               const std::string& user) {
    fields.push_back(fmt::format("UBF_{}_USER={}", end, user));
    if (owner.kind == OwnerKind::user)
        fields.push_back(fmt::format("UBF_{}_UID={}", end, value(owner.uid)));
    if (owner.via)
        fields.push_back(fmt::format("UBF_{}_VIA={}", end, value(*owner.via)));
    if (!owner.credentials || owner.credentials->process.pid == Pid{})
        return;
    const auto& process = owner.credentials->process;
    fields.push_back(fmt::format("UBF_{}_PID={}", end, value(process.pid)));
    fields.push_back(fmt::format("UBF_{}_COMM={}", end, escape(process.comm)));
    if (process.job != 0)
        fields.push_back(fmt::format("UBF_{}_JOB={}", end, process.job));
    for (const auto& label : owner.credentials->labels)
        fields.push_back(fmt::format("UBF_{}_LABEL={}", end, to_string(label)));
}

} // namespace

Log::Log(const Config::Log& config, UserCache& users, LogCounters& counters)
  : to_journal_(config.target == Config::Log::Target::journal ||
                (config.target == Config::Log::Target::automatic && stderr_is_journal()))
  , help_url_(config.help_url)
  , users_(users)
  , counters_(counters)
  , queued_(Folding(config.fold))
  , thread_([this] { run(); }) {}

Log::~Log() {
    queued_.lock()->stopping = true;
    wanted_.notify_one();
    thread_.join();
}

void Log::info(std::string text) {
    put(LOG_INFO, std::move(text));
}

void Log::warning(std::string text) {
    put(LOG_WARNING, std::move(text));
}

void Log::error(std::string text) {
    put(LOG_ERR, std::move(text));
}

void Log::put(int priority, std::string text) {
    put(*queued_.lock(), {std::chrono::system_clock::now(), Line{priority, std::move(text), {}}},
        most_items);
}

// Folds on the caller's thread, so that a denial that is only counted takes no room in the queue.
void Log::denial(Denial denial) {
    if (const auto* user = charged_user(denial); user != nullptr)
        denial.person = users_.person(user->uid);
    refusals_.add(denial, std::chrono::system_clock::now());
    const auto queued = queued_.lock();
    switch (queued->folding.add(denial, Clock::now())) {
    case Folding::Taken::line:
        put(*queued, {std::chrono::system_clock::now(), std::move(denial)}, most_denials);
        break;
    case Folding::Taken::repeat:
        counters_.folded.add();
        break;
    case Folding::Taken::over:
        counters_.over_share.add();
        break;
    }
}

void Log::put(Queued& queued, Item item, std::size_t most) {
    if (queued.items.size() >= most) {
        counters_.lost.add();
        return;
    }
    queued.items.push_back(std::move(item));
    if (queued.items.size() == 1)
        wanted_.notify_one();
}

void Log::run() {
    enter_thread("log");
    auto queued = queued_.lock();
    while (true) {
        wanted_.wait_for(queued.mutex(), std::chrono::milliseconds(500),
                         [&] { return queued->stopping || !queued->items.empty(); });
        const bool last = queued->stopping;
        const auto now = Clock::now();
        const auto summaries = queued->folding.due(now, last);
        std::deque<Item> items;
        items.swap(queued->items);
        queued.mutex().unlock();
        heartbeat_.beat(now);
        look_at_watcher(now);
        refusals_.tell_new();
        patient_until_ = now + patience;
        for (const auto& item : items)
            write(item);
        for (const auto& summary : summaries)
            write(summary);
        queued.mutex().lock();
        if (last)
            return;
    }
}

void Log::look_at_watcher(TimePoint now) {
    const auto* watcher = watcher_.load();
    const bool still = watcher != nullptr && watcher->stands_still(now);
    if (still == std::exchange(watcher_still_, still))
        return;
    const auto text = still ? text_of_still(*watcher, now) : std::string("the main thread goes on");
    write(Line{still ? LOG_ERR : LOG_WARNING, text, {}}, std::chrono::system_clock::now());
}

void Log::write(const Item& item) {
    if (const auto* denial = std::get_if<Denial>(&item.what)) {
        if (denial->tries > 0)
            write(line_of(*denial, denial->tries, fmt::format(" tries={}", denial->tries)),
                  item.time);
        else
            write(line_of(*denial, 1, ""), item.time);
    } else {
        write(std::get<Line>(item.what), item.time);
    }
}

void Log::write(const Folding::Summary& summary) {
    const auto& [last, count, within, over] = summary;
    auto counted = fmt::format(" repeated={} within={}s", count, within.count());
    if (last.tries > 0) {
        counted = fmt::format(" tries={} within={}s", count, within.count());
    } else if (over) {
        counted =
            fmt::format(" more={} within={}s: the last of so many different ones that they have "
                        "no line each",
                        count, within.count());
    }
    write(line_of(last, count, counted), std::chrono::system_clock::now());
}

// counted: the text about the number of denials that the line stands for.
Log::Line Log::line_of(const Denial& denial, std::uint64_t count, std::string_view counted) {
    const auto verb = verb_of(denial);
    const auto connector = user_text(denial.connector, users_, patient_until_);
    auto text = fmt::format("{} {} reason={} connector={}{} {}", verb, to_string(denial.flow),
                            to_string(denial.reason), connector,
                            via_text(denial.connector, users_, patient_until_),
                            process_text(denial.connector));
    std::string listener;
    if (denial.tries == 0) {
        listener = user_text(denial.listener, users_, patient_until_);
        text += fmt::format(" listener={} {}", listener, process_text(denial.listener));
    }
    text += fmt::format("{}: {}", counted,
                        denial.tries == 0
                            ? hint_for(denial)
                            : "many ports where nobody listens were tried; ask the user what they "
                              "look for");
    if (!denial.labels.empty())
        text += fmt::format(" ({})", denial.labels);
    if (!denial.note.empty())
        text += fmt::format("; {}", denial.note);
    if (denial.told_by)
        text += fmt::format("; told by {}", to_string(*denial.told_by));
    if (!help_url_.empty())
        text += fmt::format("; {}#{}", help_url_, to_string(denial.reason));
    if (denial.id != 0)
        text += fmt::format("; id={:08x}", denial.id);

    Line line{LOG_NOTICE, std::move(text), {}};
    if (to_journal_) {
        line.fields = {fmt::format("MESSAGE_ID={}", message_id(verb)),
                       fmt::format("UBF_EVENT={}", verb),
                       fmt::format("UBF_REASON={}", to_string(denial.reason)),
                       fmt::format("UBF_PROTOCOL={}", to_string(denial.flow.protocol)),
                       fmt::format("UBF_SOURCE={}", to_string(denial.flow.source)),
                       fmt::format("UBF_DESTINATION={}", to_string(denial.flow.destination)),
                       fmt::format("UBF_COUNT={}", count),
                       fmt::format("UBF_ID={:08x}", denial.id)};
        add_owner(line.fields, "CONNECTOR", denial.connector, connector);
        if (denial.tries == 0)
            add_owner(line.fields, "LISTENER", denial.listener, listener);
    }
    return line;
}

void Log::write(const Line& line, Time time) {
    bool written = false;
    if (to_journal_) {
        auto fields = line.fields;
        fields.push_back(fmt::format("MESSAGE={}", line.text));
        fields.push_back(fmt::format("PRIORITY={}", line.priority));
        fields.push_back("SYSLOG_IDENTIFIER=ubfd");
        std::vector<iovec> parts;
        parts.reserve(fields.size());
        for (auto& field : fields)
            parts.push_back({field.data(), field.size()});
        written = ::sd_journal_sendv(parts.data(), static_cast<int>(parts.size())) == 0;
    } else {
        const auto text = fmt::format("{} {}\n", timestamp(time), line.text);
        written =
            ::write(STDERR_FILENO, text.data(), text.size()) == static_cast<ssize_t>(text.size());
    }
    (written ? counters_.written : counters_.lost).add();
    heartbeat_.beat(Clock::now());
}

} // namespace ubf
