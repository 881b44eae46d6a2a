// A request: a node asks the administrator for a certificate. The node's own signature shows that
// it has the key. A one-time token, which the administrator made for that node, lets the request be
// signed without anybody who looks at it. Numbers are in network byte order.
//
// Offset and size, in bytes:
//  - 0, 4: 'U' 'B' 'Q' 1
//  - 4, 1: flags: 1 made with a token
//  - 5, 1: 0
//  - 6, 32: public key (X25519)
//  - 38, 32: the key that verifies this request, and grants (Ed25519)
//  - with flag 1, 8: number of the token
//  - with flag 1, 16: BLAKE2b of the bytes before, keyed with the token's secret: the node has it
//  - 1+n: name of the node
//  - end, 64: Ed25519's signature of all bytes before
//
// A token is a line `ubf-token-1 NUMBER SECRET`: 16 and 64 hex digits.
#pragma once

#include "base/result.hpp"
#include "identity/certificate.hpp"

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ubf::identity {

inline constexpr std::size_t max_request = 6 + 2 * key_size + 24 + 1 + max_name + signature_size;

enum class TokenNumber : std::uint64_t {};

struct Token {
    TokenNumber number{};
    Secret secret;

    static Token random();
};
std::string format_token(const Token& token);
std::optional<Token> parse_token(std::string_view text);

struct Request {
    std::string name;
    PublicKey key;
    VerifyKey verify_key;
    std::optional<TokenNumber> token{};
};

std::optional<std::vector<std::uint8_t>> make_request(const std::string& name, const NodeKey& key,
                                                      const std::optional<Token>& token);
// The format, and the node's signature.
Result<Request, Fault> check_request(Bytes bytes);
// Whether the request was made with this token. bytes: of a request that check_request() took.
bool is_made_with(Bytes bytes, const Token& token);

} // namespace ubf::identity
