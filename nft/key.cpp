#include "nft/key.hpp"

#include <stdexcept>

namespace ubf::nft {
namespace {

// A key as a type of nft's: six bits a part.
class Concatenation {
  public:
    explicit Concatenation(bool v4)
      : v4_(v4) {}

    Concatenation& interface() { return add(part::interface_index); }
    Concatenation& address(bool) { return add(part::address(v4_)); }
    Concatenation& port(bool) { return add(part::port); }
    Concatenation& user() { return add(part::user); }

    operator KeyType() && { return std::move(type_); }

  private:
    Concatenation& add(const Part& part) {
        type_.name += type_.name.empty() ? "" : " . ";
        type_.name += part.name;
        type_.number = type_.number << 6 | part.number;
        type_.length += static_cast<std::uint32_t>(padded(part.length));
        return *this;
    }

    bool v4_;
    KeyType type_{"", 0, 0, part::network_order};
};

KeyType alone(const Part& part) {
    return {std::string(part.name), part.number, part.length, part.byte_order};
}

} // namespace

KeyType key_type(SetType type) {
    const Concatenation none(is_v4(type));
    switch (type) {
    case SetType::ipv4:
    case SetType::ipv6:
        return alone(part::address(is_v4(type)));
    case SetType::port:
        return alone(part::port);
    case SetType::interface:
        return alone(part::interface_name);
    case SetType::flow4:
    case SetType::flow6:
        return flow_key(none, true, false);
    case SetType::listener4:
    case SetType::listener6:
        return listener_key(none, true);
    case SetType::user:
        return alone(part::user);
    case SetType::place4:
    case SetType::place6:
        return place_key(none, true);
    case SetType::held_place4:
    case SetType::held_place6:
        return held_place_key(none, true);
    case SetType::protocol:
        return alone(part::protocol);
    case SetType::priority:
        return alone(part::priority);
    }
    throw std::logic_error("a set of no type");
}

} // namespace ubf::nft
