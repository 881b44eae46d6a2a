#include "nft/verdict_sets.hpp"

#include "nft/key.hpp"
#include "nft/objects.hpp"
#include "nft/sets.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <libmnl/libmnl.h>
#include <libnftnl/set.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <optional>
#include <vector>

namespace ubf::nft {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::size_t elements_per_message = 256;

// A set's key, in network order.
class Key {
  public:
    Key& address(const Endpoint& end) {
        return end.address.is_v4() ? add(end.address.v4_bytes()) : add(end.address.bytes());
    }
    Key& port(const Endpoint& end) {
        return add(network<std::array<std::uint8_t, part::port.length>>(end.port));
    }
    Key& interface(std::uint32_t index) { return number(index); }
    Key& user(Uid uid) { return number(value(uid)); }
    Key& number(std::uint32_t number) { // in host byte order
        std::array<std::uint8_t, 4> bytes{};
        std::memcpy(bytes.data(), &number, sizeof number);
        return add(bytes);
    }
    const void* data() const { return bytes_.data(); }
    std::uint32_t size() const { return static_cast<std::uint32_t>(size_); }

  private:
    Key& add(std::span<const std::uint8_t> bytes) {
        std::ranges::copy(bytes, bytes_.begin() + static_cast<std::ptrdiff_t>(size_));
        size_ += padded(bytes.size());
        return *this;
    }

    std::array<std::uint8_t, largest_key> bytes_{};
    std::size_t size_ = 0;
};

Key key_of(const Flow& flow) {
    return flow_key(Key(), flow.source, flow.destination);
}

struct HeldPlace {
    Endpoint place;
    Uid holder;
};

Key key_of(const Endpoint& place) {
    return place_key(Key(), place);
}

Key key_of(const HeldPlace& held) {
    return held_place_key(Key(), held.place, held.holder);
}

Key key_of(const ListenerKey& listener) {
    return listener_key(Key(), listener.endpoint, listener.interface);
}

bool is_v4(const Flow& flow) {
    return flow.source.address.is_v4();
}

bool is_v4(const Endpoint& place) {
    return place.address.is_v4();
}

bool is_v4(const HeldPlace& held) {
    return is_v4(held.place);
}

bool is_v4(const ListenerKey& listener) {
    return listener.endpoint.address.is_v4();
}

const char* allowed_on(Network network) {
    return network == Network::ethernet ? set_of_udp : set_of_fabric_udp;
}

SetPtr named(const std::string& name) {
    SetPtr object(checked(nftnl_set_alloc()));
    nftnl_set_set_str(object.get(), NFTNL_SET_TABLE, table_name);
    nftnl_set_set_str(object.get(), NFTNL_SET_NAME, name.c_str());
    return object;
}

void add_element(const SetPtr& set, const Key& key, std::optional<milliseconds> timeout) {
    nftnl_set_elem* element = checked(nftnl_set_elem_alloc());
    nftnl_set_elem_add(set.get(), element); // the set owns it now
    nftnl_set_elem_set(element, NFTNL_SET_ELEM_KEY, key.data(), key.size());
    if (timeout)
        nftnl_set_elem_set_u64(element, NFTNL_SET_ELEM_TIMEOUT,
                               static_cast<std::uint64_t>(timeout->count()));
}

// Looks up the element of this set object.
int look_for(Connection& connection, const SetPtr& set) {
    return connection.get(
        NFT_MSG_GETSETELEM,
        [&](nlmsghdr* message) { nftnl_set_elems_nlmsg_build_payload(message, set.get()); },
        [](const nlmsghdr*) {});
}

// Adds the messages for these keys, separately for each family.
template<typename T>
void change(Batch& batch, const char* set, std::uint16_t type, std::span<const T> keys,
            std::optional<milliseconds> timeout) {
    for (const bool v4 : {true, false}) {
        const auto name = of_family(set, v4);
        for (std::size_t i = 0; i < keys.size();) {
            const auto part = named(name);
            std::size_t count = 0;
            for (; i < keys.size() && count < elements_per_message; ++i)
                if (is_v4(keys[i]) == v4) {
                    add_element(part, key_of(keys[i]), timeout);
                    ++count;
                }
            if (count == 0)
                break;
            const std::uint16_t flags = type == NFT_MSG_NEWSETELEM ? NLM_F_CREATE : 0;
            batch.add(type, flags, {name}, [&](nlmsghdr* message) {
                nftnl_set_elems_nlmsg_build_payload(message, part.get());
            });
        }
    }
}

template<typename T>
void put(Batch& batch, const char* set, std::span<const T> keys, seconds timeout) {
    change(batch, set, NFT_MSG_NEWSETELEM, keys, milliseconds(timeout));
}

// Deleting a missing element would fail the batch, so each is added first.
template<typename T>
void take(Batch& batch, const char* set, std::span<const T> keys) {
    put(batch, set, keys, seconds(1));
    change(batch, set, NFT_MSG_DELSETELEM, keys, std::nullopt);
}

} // namespace

int VerdictSets::allow(Network network, std::span<const Flow> flows) {
    auto batch = connection_.begin();
    put(batch, allowed_on(network), flows, udp_lease);
    return commit(batch);
}

int VerdictSets::renew(Network network, std::span<const Flow> flows) {
    auto batch = connection_.begin();
    take(batch, allowed_on(network), flows); // before Linux 6.12, adding renews no timeout
    put(batch, allowed_on(network), flows, udp_lease);
    return commit(batch);
}

int VerdictSets::end(Network network, const Flow& flow) {
    const std::span flows(&flow, 1);
    auto batch = connection_.begin();
    take(batch, allowed_on(network), flows);
    if (network == Network::fabric)
        take(batch, set_of_sent, flows);
    return commit(batch);
}

int VerdictSets::find_seen(const Flow& flow) {
    return find(set_of_seen, flow);
}

// The set has the flows of the answers, so the flow is reversed.
int VerdictSets::find_sent(const Flow& flow) {
    return find(set_of_sent, flow.reversed());
}

int VerdictSets::forget_sent(std::span<const Flow> flows) {
    constexpr std::size_t most_at_a_time = 1024;
    std::vector<Flow> answers;
    for (const auto& flow : flows)
        answers.push_back(flow.reversed());
    for (std::span<const Flow> rest = answers; !rest.empty();) {
        const auto some = rest.first(std::min(rest.size(), most_at_a_time));
        auto batch = connection_.begin();
        take(batch, set_of_sent, some);
        if (const int error = commit(batch); error != 0)
            return error;
        rest = rest.subspan(some.size());
    }
    return 0;
}

int VerdictSets::find(const char* name, const Flow& flow) {
    const auto set = named(of_family(name, is_v4(flow)));
    add_element(set, key_of(flow), std::nullopt);
    return look_for(connection_, set);
}

int VerdictSets::deny(std::span<const Flow> flows, seconds timeout) {
    auto batch = connection_.begin();
    put(batch, set_of_denied, flows, timeout);
    return commit(batch);
}

int VerdictSets::forget_denied(const Flow& flow) {
    auto batch = connection_.begin();
    take(batch, set_of_denied, std::span(&flow, 1));
    return commit(batch);
}

// Other interfaces may have the place already, and it must not expire while one of them has it.
// Before Linux 6.12, an existing element keeps its old timeout unless it is deleted first.
int VerdictSets::exempt(const ListenerKey& listener, Uid holder, seconds timeout) {
    const HeldPlace held{listener.endpoint, holder};
    auto batch = connection_.begin();
    take(batch, set_of_exempt_places, std::span(&listener.endpoint, 1));
    put(batch, set_of_exempt_places, std::span(&listener.endpoint, 1), timeout);
    take(batch, set_of_exempt_holders, std::span(&held, 1));
    put(batch, set_of_exempt_holders, std::span(&held, 1), timeout);
    put(batch, set_of_listeners, std::span(&listener, 1), timeout);
    return commit(batch);
}

int VerdictSets::forget_exempt(const ListenerKey& listener, Uid holder) {
    const HeldPlace held{listener.endpoint, holder};
    auto batch = connection_.begin();
    take(batch, set_of_listeners, std::span(&listener, 1));
    take(batch, set_of_exempt_places, std::span(&listener.endpoint, 1));
    take(batch, set_of_exempt_holders, std::span(&held, 1));
    return commit(batch);
}

int VerdictSets::recognise(std::optional<std::uint32_t> priority) {
    auto batch = connection_.begin();
    clear(batch, set_of_recognised);
    if (priority) {
        const auto set = named(set_of_recognised);
        add_element(set, Key().number(*priority), std::nullopt);
        batch.add(NFT_MSG_NEWSETELEM, NLM_F_CREATE, {set_of_recognised}, [&](nlmsghdr* message) {
            nftnl_set_elems_nlmsg_build_payload(message, set.get());
        });
    }
    return commit(batch);
}

int VerdictSets::find_recognised(std::uint32_t priority) {
    const auto set = named(set_of_recognised);
    add_element(set, Key().number(priority), std::nullopt);
    return look_for(connection_, set);
}

int VerdictSets::clear_allowed() {
    return clear({set_of_udp, set_of_fabric_udp});
}

int VerdictSets::clear_denied() {
    return clear({set_of_denied});
}

int VerdictSets::clear_exempt() {
    return clear({set_of_listeners, set_of_exempt_places, set_of_exempt_holders});
}

int VerdictSets::clear_limited() {
    auto batch = connection_.begin();
    clear(batch, set_of_new_by_user);
    clear(batch, set_of_new_udp_by_user);
    return commit(batch);
}

int VerdictSets::clear(std::initializer_list<const char*> names) {
    auto batch = connection_.begin();
    for (const char* name : names)
        for (const bool v4 : {true, false})
            clear(batch, of_family(name, v4));
    return commit(batch);
}

void VerdictSets::clear(Batch& batch, const std::string& name) {
    const auto set = named(name);
    batch.add(NFT_MSG_DELSETELEM, 0, {name},
              [&](nlmsghdr* message) { nftnl_set_elems_nlmsg_build_payload(message, set.get()); });
}

int VerdictSets::commit(Batch& batch) {
    return batch.steps().empty() ? 0 : connection_.commit(batch).error;
}

} // namespace ubf::nft
