// In place of recognition.cpp and filters.cpp, where ubfd is built without BPF (UBF_BPF in
// bpf.cmake).
#include "daemon/recognition/recognition.hpp"

namespace ubf {

void Filters::remove() {}

void Filters::remove_all() {}

void Recognition::Unload::operator()(recognition_bpf*) const {}

Recognition::Recognition(bool, int, Links, nft::Connection& table)
  : sets_(table)
  , lacks_("ubfd was built without BPF") {
    terms_.why_not = lacks_;
}

Recognition::~Recognition() = default;

void Recognition::pause() {}

void Recognition::begin(const RecognitionTerms&, const WatchedInterfaces&, bool) {}

void Recognition::look(TimePoint) {}

void Recognition::put_evidence() {}

std::shared_ptr<ident::StampKeys> Recognition::begin_pairs() {
    return nullptr;
}

void Recognition::interfaces_changed() {
    notices_.discard();
}

std::string Recognition::state() const {
    return "not in use: " + lacks_;
}

std::array<std::uint64_t, UBF_COUNTS> Recognition::counts() const {
    return {};
}

} // namespace ubf
