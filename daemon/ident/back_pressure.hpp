// Says when a gate had better leave packets in the kernel's queue: while so many questions are on
// their way that more of them would only wait behind these. A packet that waits in the kernel is
// lost as little as one that waits here, and takes no place of ours.
//
// A question whose answer does not come in time counts no more: its peer is silent or slow, and
// nobody waits for it. Anybody can make up peers that answer nothing, at any rate; so where most
// questions go unanswered until then, none of their kind counts. Peers that have shown to be there
// are a kind of their own. Pure.
#pragma once

#include <array>
#include <cstddef>

namespace ubf::ident {

class BackPressure {
  public:
    static constexpr std::size_t most = 64; // on their way

    enum class Kind : std::size_t { proven, others }; // of the peer that is asked

    void asked(Kind kind) { ++of(kind).on_their_way; }
    void answered(Kind kind) { end(of(kind), 1); }
    void unanswered(Kind kind) { end(of(kind), 0); }
    // It is over, and says nothing of peers.
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
        double answered = 1; // the part that was, the last ones counting most
    };

    Questions& of(Kind kind) { return kinds_[static_cast<std::size_t>(kind)]; }
    static void end(Questions& questions, double answered) {
        --questions.on_their_way;
        questions.answered += (answered - questions.answered) / static_cast<double>(most);
    }

    std::array<Questions, 2> kinds_{};
};

} // namespace ubf::ident
