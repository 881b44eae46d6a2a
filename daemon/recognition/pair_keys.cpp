#include "daemon/recognition/pair_keys.hpp"

#include <algorithm>
#include <bpf/bpf.h>
#include <fcntl.h>
#include <sodium.h>

namespace ubf {
namespace {

static_assert(UBF_EPOCH_BITS == identity::epoch_bits);

UniqueFd duplicate(int fd) {
    return UniqueFd(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
}

ubf_recognition_node node_at(const Address& address) {
    ubf_recognition_node node{};
    const auto& bytes = address.bytes();
    for (std::size_t i = 0; i < bytes.size(); ++i)
        node.half[i / 8] = node.half[i / 8] << 8 | bytes[i];
    return node;
}

// The key's first 16 bytes, as SipHash takes them: two numbers, the lowest byte first.
void put(ubf_recognition_pair_key (&keys)[2], const identity::Secret& key, identity::Epoch epoch) {
    const auto number = static_cast<std::uint64_t>(epoch);
    auto& place = keys[number & 1];
    place.epoch = number;
    for (std::size_t i = 0; i < 16; ++i)
        place.words[i / 8] |= std::uint64_t{key.bytes()[i]} << i % 8 * 8;
}

std::uint64_t seconds(identity::Seconds time) {
    return static_cast<std::uint64_t>(std::max<std::int64_t>(time.count(), 0));
}

template<typename Key>
void clear(int map, std::size_t most) {
    Key key{};
    for (std::size_t i = 0; i < 2 * most && ::bpf_map_get_next_key(map, nullptr, &key) == 0; ++i)
        ::bpf_map_delete_elem(map, &key);
}

} // namespace

PairKeys::PairKeys(int pairs, int words, std::uint32_t generation)
  : pairs_(duplicate(pairs))
  , words_(duplicate(words))
  , generation_(generation) {}

// If an entry does not get into the kernel, connections are asked about, and it comes again.
void PairKeys::learn(const Address& address, const Pair& pair) {
    ubf_recognition_pair entry{};
    entry.node = node_at(address);
    entry.generation = generation_;
    entry.until = seconds(pair.until);
    entry.in_id = static_cast<std::uint8_t>(pair.theirs);
    entry.out_id = static_cast<std::uint8_t>(pair.mine);
    for (std::size_t i = 0; i < pair.epochs.numbers.size(); ++i) {
        put(entry.in, pair.epochs.in[i], pair.epochs.numbers[i]);
        put(entry.out, pair.epochs.out[i], pair.epochs.numbers[i]);
    }
    ::bpf_map_update_elem(pairs_.get(), &entry.node, &entry, BPF_ANY);
    sodium_memzero(&entry, sizeof entry);
}

void PairKeys::count_word(const Address& address, Uid uid, identity::Seconds until) {
    ubf_recognition_holder holder{};
    holder.node = node_at(address);
    holder.uid = value(uid);
    const ubf_recognition_word word{seconds(until), generation_, 0};
    ::bpf_map_update_elem(words_.get(), &holder, &word, BPF_ANY);
}

void PairKeys::clear(int pairs, int words) {
    ubf::clear<ubf_recognition_node>(pairs, UBF_RECOGNITION_PAIRS);
    ubf::clear<ubf_recognition_holder>(words, UBF_RECOGNITION_WORDS);
}

} // namespace ubf
