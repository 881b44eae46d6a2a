// Back-pressure: says when a gate had better leave packets in the kernel's queue. While so many
// questions are open, more of them would only wait behind these. Packets are as safe in the
// kernel's queue as here, and take no memory of ours.
//
// A question that timed out does not count any more. An attacker can make up silent peers at any
// rate. So if most questions of a kind time out, none of that kind counts. Proven peers are a kind
// of their own. Pure.
#pragma once

#include <array>
#include <cstddef>

namespace ubf::ident {

class BackPressure {
  public:
    static constexpr std::size_t most = 64; // open at a time

    enum class Kind : std::size_t { proven, others }; // of the peer that is asked

    void asked(Kind kind) { ++of(kind).on_their_way; }
    void answered(Kind kind) { end(of(kind), 1); }
    void unanswered(Kind kind) { end(of(kind), 0); }
    // The question was withdrawn, which says nothing about its peer.
    void dropped(Kind kind) { --of(kind).on_their_way; }

    bool is_high() const {
        std::size_t count = 0;
        for (const auto& questions : kinds_)
            count += questions.answered >= 0.5 ? questions.on_their_way : 0;
        return count >= most;
    }

  private:
    struct Questions {
        std::size_t on_their_way = 0;
        double answered = 1; // the part that was answered, a moving average
    };

    Questions& of(Kind kind) { return kinds_[static_cast<std::size_t>(kind)]; }
    static void end(Questions& questions, double answered) {
        --questions.on_their_way;
        questions.answered += (answered - questions.answered) / static_cast<double>(most);
    }

    std::array<Questions, 2> kinds_{};
};

} // namespace ubf::ident
