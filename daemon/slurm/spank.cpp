// A SPANK plugin for sites that have no Prolog of their own: runs `ubfctl job begin` and `ubfctl
// job end` when slurmd runs Prolog and Epilog, as root (spank(7)). In plugstack.conf:
//     optional ubf.so [ubfctl=PATH] [label-from=SOURCE] [socket=PATH]
// It never fails a job: a job without a label merely matches nobody.
#include <cstdint>
#include <cstring>
#include <spawn.h>
#include <string>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

extern "C" {
#include <slurm/spank.h>

// SPANK looks for these symbols; without `extern`, a C++ constant has internal linkage.
extern const char plugin_name[];
extern const char plugin_type[];
extern const unsigned int plugin_version;
extern const unsigned int spank_plugin_version;
SPANK_PLUGIN(ubf, 1)
}

namespace {

void run(const std::vector<std::string>& words) {
    std::vector<char*> arguments;
    arguments.reserve(words.size() + 1);
    for (const auto& word : words)
        arguments.push_back(const_cast<char*>(word.c_str())); // posix_spawn(3) changes none of them
    arguments.push_back(nullptr);
    pid_t pid = 0;
    int status = 0;
    const int error =
        ::posix_spawn(&pid, words.front().c_str(), nullptr, nullptr, arguments.data(), environ);
    if (error != 0)
        slurm_error("ubf: %s: %s", words.front().c_str(), std::strerror(error));
    else if (::waitpid(pid, &status, 0) == pid && status != 0)
        slurm_error("ubf: '%s job %s' failed: the job carries no label", words.front().c_str(),
                    words[2].c_str());
}

// The arguments in plugstack.conf are ubfctl's options, except its path.
void tell(spank_t spank, const char* what, int argc, char** argv) {
    std::uint32_t job = 0;
    uid_t uid = 0;
    if (spank_get_item(spank, S_JOB_ID, &job) != ESPANK_SUCCESS ||
        spank_get_item(spank, S_JOB_UID, &uid) != ESPANK_SUCCESS) {
        slurm_error("ubf: Slurm does not say which job this is");
        return;
    }
    std::vector<std::string> words{UBF_UBFCTL, "job", what, "--job=" + std::to_string(job),
                                   "--uid=" + std::to_string(uid)};
    const std::string path = "ubfctl=";
    for (int i = 0; i < argc; ++i) {
        const std::string argument = argv[i];
        if (argument.compare(0, path.size(), path) == 0)
            words.front() = argument.substr(path.size());
        else
            words.push_back("--" + argument);
    }
    run(words);
}

} // namespace

extern "C" int slurm_spank_job_prolog(spank_t spank, int argc, char** argv) {
    tell(spank, "begin", argc, argv);
    return ESPANK_SUCCESS;
}

extern "C" int slurm_spank_job_epilog(spank_t spank, int argc, char** argv) {
    tell(spank, "end", argc, argv);
    return ESPANK_SUCCESS;
}
