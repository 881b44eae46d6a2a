// An authority, and certificates that it signs, for the tests of identity.
#pragma once

#include "identity/certificate.hpp"
#include "identity/grant.hpp"

#include <fstream>
#include <gtest/gtest.h>
#include <sstream>
#include <string>
#include <vector>

namespace ubf::identity::test {

using Octets = std::vector<std::uint8_t>;

inline constexpr Seconds now{1'750'000'000};

inline Secret seed(std::uint8_t byte) {
    KeyBytes bytes;
    bytes.fill(byte);
    return Secret(bytes);
}

inline Prefix prefix(std::string_view text) {
    return *Prefix::parse(text);
}

inline std::string vector_file(const std::string& name) {
    std::ifstream file(std::string(UBF_VECTORS) + "/" + name, std::ios::binary);
    EXPECT_TRUE(file) << name;
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
}

// The authority of the vectors.
inline SigningKey authority() {
    return SigningKey(seed(0x0a));
}
inline Authorities authorities() {
    return {authority().verify_key()};
}

inline Certificate certificate(std::uint8_t node = 1, std::uint64_t serial = 7) {
    const NodeKey key(seed(node));
    Certificate made;
    made.name = "n" + std::to_string(node);
    made.node_class = "compute";
    made.addresses = {prefix("10.0.0." + std::to_string(node))};
    made.key = key.public_key();
    made.serial = Serial{serial};
    made.valid = {Seconds(1'700'000'000), Seconds(1'800'000'000)};
    return made;
}

inline Certificate granter() {
    auto made = certificate(2, 9);
    made.grants = NodeKey(seed(2)).signer().verify_key();
    return made;
}

// Calls with each version of the bytes in which one bit is flipped, and with each beginning of
// them.
template<typename F>
void each_damage(const Octets& bytes, F&& call) {
    for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
        auto damaged = bytes;
        damaged[bit / 8] = static_cast<std::uint8_t>(damaged[bit / 8] ^ (1u << bit % 8));
        call(damaged);
    }
    for (std::size_t length = 0; length < bytes.size(); ++length)
        call(Octets(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(length)));
    auto longer = bytes;
    longer.push_back(0);
    call(longer);
}

} // namespace ubf::identity::test
