#include "daemon/log/log.hpp"

#include "base/escape.hpp"
#include "daemon/core/thread.hpp"

#include <cstdlib>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <syslog.h>
#include <unistd.h>

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

std::string user_text(const Owner& owner, UserCache& users) {
    return owner.kind == OwnerKind::user ? users.name(owner.uid)
                                         : std::string(to_string(owner.kind));
}

std::string process_text(const Owner& owner) {
    if (!owner.credentials || owner.credentials->process.pid == Pid{})
        return "?";
    const auto& process = owner.credentials->process;
    const auto text = fmt::format("{}[{}]", escape(process.comm), value(process.pid));
    return process.job == 0 ? text : fmt::format("{} job={}", text, process.job);
}

void add_owner(std::vector<std::string>& fields, std::string_view end, const Owner& owner,
               const std::string& user) {
    fields.push_back(fmt::format("UBF_{}_USER={}", end, user));
    if (owner.kind == OwnerKind::user)
        fields.push_back(fmt::format("UBF_{}_UID={}", end, value(owner.uid)));
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

Log::Log(const Config::Log& config, UserCache& users, Counters& counters)
  : to_journal_(config.target == Config::Log::Target::journal ||
                (config.target == Config::Log::Target::automatic && stderr_is_journal()))
  , fold_(config.fold)
  , users_(users)
  , counters_(counters)
  , thread_([this] { run(); }) {}

Log::~Log() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    wanted_.notify_one();
    thread_.join();
}

void Log::info(std::string text) {
    put({std::chrono::system_clock::now(), Line{LOG_INFO, std::move(text), {}}});
}

void Log::warning(std::string text) {
    put({std::chrono::system_clock::now(), Line{LOG_WARNING, std::move(text), {}}});
}

void Log::error(std::string text) {
    put({std::chrono::system_clock::now(), Line{LOG_ERR, std::move(text), {}}});
}

void Log::denial(Denial denial) {
    put({std::chrono::system_clock::now(), std::move(denial)});
}

void Log::put(Item item) {
    const std::lock_guard lock(mutex_);
    if (items_.size() >= most_items) {
        counters_.log_lost.add();
        return;
    }
    items_.push_back(std::move(item));
    if (items_.size() == 1)
        wanted_.notify_one();
}

void Log::run() {
    enter_thread("log");
    std::unique_lock lock(mutex_);
    while (true) {
        wanted_.wait_for(lock, std::chrono::milliseconds(500),
                         [&] { return stopping_ || !items_.empty(); });
        const bool last = stopping_;
        std::deque<Item> items;
        items.swap(items_);
        lock.unlock();
        for (const auto& item : items)
            handle(item);
        unfold(Clock::now(), last);
        lock.lock();
        if (last)
            return;
    }
}

void Log::handle(const Item& item) {
    if (const auto* denial = std::get_if<Denial>(&item.what))
        fold(*denial, item.time);
    else
        write(std::get<Line>(item.what), item.time);
}

void Log::fold(const Denial& denial, Time time) {
    const Key key{denial.flow.protocol, denial.flow.source.address, denial.flow.destination,
                  denial.connector.uid, denial.listener.uid,        denial.reason,
                  denial.ended};
    if (const auto found = folds_.find(key); found != folds_.end()) {
        found->second.last = denial;
        ++found->second.repeats;
        counters_.log_folded.add();
        return;
    }
    if (folds_.size() >= most_folds) {
        if (unlisted_++ == 0)
            unlisted_since_ = Clock::now();
        counters_.log_folded.add();
        return;
    }
    folds_.emplace(key, Fold{denial, Clock::now(), 0});
    write(denial, time, 0);
}

// Tells of the repeats when their time is over.
void Log::unfold(TimePoint now, bool all) {
    for (auto entry = folds_.begin(); entry != folds_.end();) {
        const auto& fold = entry->second;
        if (!all && now - fold.since < fold_) {
            ++entry;
            continue;
        }
        if (fold.repeats > 0)
            write(fold.last, std::chrono::system_clock::now(), fold.repeats);
        entry = folds_.erase(entry);
    }
    if (unlisted_ > 0 && (all || now - unlisted_since_ >= fold_)) {
        write(Line{LOG_NOTICE,
                   fmt::format("denied {} more, between too many different ends to list them all",
                               std::exchange(unlisted_, 0)),
                   {"UBF_EVENT=denied"}},
              std::chrono::system_clock::now());
    }
}

void Log::write(const Denial& denial, Time time, std::uint64_t repeats) {
    const auto connector = user_text(denial.connector, users_);
    const auto listener = user_text(denial.listener, users_);
    auto text = fmt::format("{} {} reason={} connector={} {} listener={} {}",
                            denial.ended ? "ended" : "denied", to_string(denial.flow),
                            to_string(denial.reason), connector, process_text(denial.connector),
                            listener, process_text(denial.listener));
    if (repeats > 0)
        text += fmt::format(" repeated={} within={}s", repeats, fold_.count());
    text += fmt::format(": {}", hint(denial.reason));
    if (!denial.labels.empty())
        text += fmt::format(" ({})", denial.labels);
    if (!denial.note.empty())
        text += fmt::format("; {}", denial.note);

    Line line{LOG_NOTICE, std::move(text), {}};
    if (to_journal_) {
        line.fields = {fmt::format("UBF_EVENT={}", denial.ended ? "ended" : "denied"),
                       fmt::format("UBF_REASON={}", to_string(denial.reason)),
                       fmt::format("UBF_PROTOCOL={}", to_string(denial.flow.protocol)),
                       fmt::format("UBF_SOURCE={}", to_string(denial.flow.source)),
                       fmt::format("UBF_DESTINATION={}", to_string(denial.flow.destination)),
                       fmt::format("UBF_COUNT={}", repeats == 0 ? 1 : repeats)};
        add_owner(line.fields, "CONNECTOR", denial.connector, connector);
        add_owner(line.fields, "LISTENER", denial.listener, listener);
    }
    write(line, time);
}

void Log::write(const Line& line, Time time) {
    bool written = false;
    if (to_journal_) {
        auto fields = line.fields;
        fields.push_back(fmt::format("MESSAGE={}", line.text));
        fields.push_back(fmt::format("PRIORITY={}", line.priority));
        fields.push_back("SYSLOG_IDENTIFIER=ubfd");
        std::vector<iovec> parts;
        for (auto& field : fields)
            parts.push_back({field.data(), field.size()});
        written = ::sd_journal_sendv(parts.data(), static_cast<int>(parts.size())) == 0;
    } else {
        const auto text = fmt::format("{} {}\n", timestamp(time), line.text);
        written =
            ::write(STDERR_FILENO, text.data(), text.size()) == static_cast<ssize_t>(text.size());
    }
    (written ? counters_.log_written : counters_.log_lost).add();
}

} // namespace ubf
