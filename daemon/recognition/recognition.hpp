// The kernel recognises connections that begin and end with one user's programs, and lets them in
// without asking (bpf/recognition.bpf.c, docs/recognition.md). This class loads the programs, and
// gives them terms, which it renews twice a second: without ubfd, nobody is recognised. If the
// kernel takes no such program, or ubfd is built without it, all connections are asked about.
#pragma once

#include "base/unique_fd.hpp"
#include "daemon/core/event_loop.hpp"
#include "daemon/recognition/filters.hpp"
#include "daemon/recognition/pair_keys.hpp"
#include "daemon/recognition/terms.hpp"
#include "nft/verdict_sets.hpp"

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

struct recognition_bpf; // made by bpftool

namespace ubf {

class Recognition {
  public:
    // The links of programs to the root of the cgroups. systemd keeps them while we restart, or are
    // dead.
    struct Links {
        UniqueFd stamp{};
        UniqueFd arrive{};
    };

    // Loads the programs, if they are wanted and can be. Takes CAP_BPF, CAP_PERFMON and
    // CAP_NET_ADMIN, and after that the last alone. Throws std::system_error.
    // cgroup: the root of version 2; -1: there is none.
    // kept: a predecessor's links, which the new programs take over.
    Recognition(bool wanted, int cgroup, Links kept, nft::Connection& table);
    ~Recognition();

    // Nobody is recognised from now on until begin(), nor before the first begin().
    void pause();
    // Recognises by these terms, on these interfaces. Packets that were recognised by earlier
    // terms, and are still on their way, are asked about.
    void begin(const RecognitionTerms& terms, const WatchedInterfaces& watched, bool has_fabric);
    // To be called often: renews the terms.
    void look(TimePoint now);
    // Puts our number into the table, which may be a new one without it.
    void put_evidence();
    // Takes the keys of pairs until the next call, which makes all that it took worthless, as does
    // begin(). nullptr if recognition is not in use.
    std::shared_ptr<ident::StampKeys> begin_pairs();

    int notices_fd() const { return notices_.fd(); } // readable when interfaces have changed
    void interfaces_changed();

    const Links& links() const { return links_; } // none, if it can't be in use

    // "in use", perhaps with a part that is not; or why not.
    std::string state() const;
    bool in_use() const { return program_ != nullptr && terms_.why_not.empty(); }
    // The terms that hold now. They recognise nobody, if recognition is not in use.
    const RecognitionTerms& terms() const { return terms_; }
    std::size_t interfaces() const { return filters_.size(); }
    std::array<std::uint64_t, UBF_COUNTS> counts() const;

    struct Unload {
        void operator()(recognition_bpf* program) const;
    };

  private:
    std::string load(int cgroup, Links kept);
    void tell(bool alive);
    void tell_peers(const std::vector<RecognitionTerms::Peers>& peers);
    void put_filters(Filters::On on = Filters::On::all);

    std::unique_ptr<recognition_bpf, Unload> program_;
    Links links_;
    nft::VerdictSets sets_;
    Filters filters_;
    LinkNotices notices_;
    RecognitionTerms terms_;
    std::vector<ubf_recognition_address> peers_; // that are in the kernel's map
    WatchedInterfaces watched_;
    bool has_fabric_ = false;
    std::string lacks_;            // why the programs are not loaded
    std::string failed_;           // why a filter is missing
    std::uint32_t generation_ = 0; // of pairs
    bool failed_peers_ = false;
    bool has_set_ = false; // our number is in the ruleset's set
    TimePoint due_{};
};

} // namespace ubf
