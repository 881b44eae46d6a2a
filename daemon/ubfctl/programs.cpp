#include "programs.hpp"

#include "base/escape.hpp"
#include "base/text.hpp"
#include "fields.hpp"
#include "flow/flow.hpp"
#include "label/slurm.hpp"
#include "netlink/sock_diag.hpp"
#include "owner/process_search.hpp"

#include <algorithm>
#include <filesystem>
#include <fmt/format.h>
#include <map>
#include <optional>
#include <string>

namespace ubf::ctl {
namespace {

namespace fs = std::filesystem;

// The processes that hold the sockets, by inode: the first of each.
using Holders = std::map<std::uint32_t, std::optional<Pid>>;

struct End {
    std::string program{};
    std::string job{};
    std::string label{};
};

std::optional<std::uint32_t> socket_of(const fs::path& descriptor) {
    std::error_code error;
    const auto target = fs::read_symlink(descriptor, error).native();
    constexpr std::string_view before = "socket:[";
    if (error || !target.starts_with(before) || !target.ends_with(']'))
        return std::nullopt;
    return ubf::number<std::uint32_t>(
        std::string_view(target).substr(before.size(), target.size() - before.size() - 1));
}

// Processes come and go meanwhile; those that do are left out.
void find(Holders& holders) {
    std::error_code error;
    for (fs::directory_iterator process("/proc", error), end; !error && process != end;
         process.increment(error)) {
        const auto pid = ubf::number<std::int32_t>(process->path().filename().native());
        std::error_code gone;
        if (!pid)
            continue;
        for (fs::directory_iterator descriptor(process->path() / "fd", gone);
             !gone && descriptor != end; descriptor.increment(gone)) {
            const auto inode = socket_of(descriptor->path());
            const auto found = inode ? holders.find(*inode) : holders.end();
            if (found != holders.end() && (!found->second || value(*found->second) > *pid))
                found->second = Pid{*pid};
        }
    }
}

class Programs {
  public:
    explicit Programs(const Json& jobs) {
        for (const auto& job : jobs)
            for (const auto* name : {"/job", "/sluid"})
                labels_.emplace(name_of(job, name), word(job, "/label", ""));
    }

    End of(Pid pid) {
        const auto [found, is_new] = ends_.try_emplace(value(pid));
        if (is_new)
            found->second = look(pid);
        return found->second;
    }

  private:
    static std::string name_of(const Json& job, const char* key) {
        const auto& field = job.value(Json::json_pointer(key), Json());
        return field.is_number()   ? std::to_string(field.get<std::uint64_t>())
               : field.is_string() ? field.get<std::string>()
                                   : std::string();
    }

    End look(Pid pid) const {
        const auto task = search_.task(pid, {.cgroups = true});
        if (!task)
            return {};
        End end{fmt::format("{}[{}]", escape(task->status.comm), value(pid)),
                escape(slurm_place(task->cgroups).job)};
        if (const auto label = labels_.find(end.job); !end.job.empty() && label != labels_.end())
            end.label = label->second;
        return end;
    }

    ProcessSearch search_;
    std::map<std::string, std::string> labels_; // by job
    std::map<std::int32_t, End> ends_;
};

// Both ends of each flow as the kernel is asked for them; the connector's comes first.
std::vector<SocketQuery> queries_of(const std::vector<Json>& flows) {
    std::vector<SocketQuery> queries;
    for (const auto& row : flows) {
        const auto flow = Flow::parse(fmt::format("{} {} -> {}", word(row, "/protocol", ""),
                                                  word(row, "/from", ""), word(row, "/to", "")))
                              .value_or(Flow{});
        queries.push_back({flow.protocol, flow.source, flow.destination});
        queries.push_back({flow.protocol, flow.destination, flow.source});
    }
    return queries;
}

std::string joined(const std::string& connector, const std::string& listener) {
    if (connector.empty() || listener.empty() || connector == listener)
        return connector.empty() ? listener : connector;
    return fmt::format("{} -> {}", connector, listener);
}

} // namespace

void add_programs(std::vector<Json>& flows, const Json& jobs) {
    const auto queries = queries_of(flows);
    std::vector<SockDiag::Found> sockets(queries.size(), fail(0));
    SockDiag().find(queries, sockets);
    Holders holders;
    for (const auto& socket : sockets)
        if (socket && socket->inode != 0)
            holders.emplace(socket->inode, std::nullopt);
    if (holders.empty())
        return;
    find(holders);
    Programs programs(jobs);
    const auto end_of = [&](const SockDiag::Found& socket) {
        const auto found = socket ? holders.find(socket->inode) : holders.end();
        return found != holders.end() && found->second ? programs.of(*found->second) : End{};
    };
    for (std::size_t i = 0; i < flows.size(); ++i) {
        const auto connector = end_of(sockets[2 * i]);
        const auto listener = end_of(sockets[2 * i + 1]);
        flows[i]["program"] = joined(connector.program, listener.program);
        flows[i]["job"] = joined(connector.job, listener.job);
        flows[i]["label"] = joined(connector.label, listener.label);
    }
}

} // namespace ubf::ctl
