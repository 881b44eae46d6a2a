#include "identity/request.hpp"

#include "base/key_line.hpp"
#include "base/text.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <sodium.h>

namespace ubf::identity {
namespace {

constexpr std::uint32_t magic = 0x55425101; // "UBQ", version 1
constexpr std::uint8_t with_token = 1;
constexpr std::string_view token_tag = "ubf-token-1 ";
constexpr std::size_t proof_offset = 6 + 2 * key_size + 8;
constexpr std::size_t proof_size = 16;
using Proof = std::array<std::uint8_t, proof_size>;

Proof prove(Bytes bytes, const Token& token) {
    Proof proof{};
    crypto_generichash(proof.data(), proof.size(), bytes.data(), bytes.size(),
                       token.secret.bytes().data(), token.secret.bytes().size());
    return proof;
}

} // namespace

Token Token::random() {
    std::uint64_t number = 0;
    randombytes_buf(&number, sizeof number);
    return {TokenNumber{number}, Secret::random()};
}

std::string format_token(const Token& token) {
    return fmt::format("{}{:016x} {}", token_tag, static_cast<std::uint64_t>(token.number),
                       to_hex(token.secret.bytes()));
}

std::optional<Token> parse_token(std::string_view text) {
    while (!text.empty() && (text.back() == '\n' || text.back() == '\r'))
        text.remove_suffix(1);
    if (!text.starts_with(token_tag))
        return std::nullopt;
    text.remove_prefix(token_tag.size());
    const auto digits = split(text, ' ');
    const auto token = digits.size() == 16 ? number<std::uint64_t>(digits, 16) : std::nullopt;
    const auto bytes = parse_hex_key(text);
    if (!token || !bytes)
        return std::nullopt;
    return Token{TokenNumber{*token}, Secret(*bytes)};
}

std::optional<std::vector<std::uint8_t>> make_request(const std::string& name, const NodeKey& key,
                                                      const std::optional<Token>& token) {
    if (!is_name(name, max_name))
        return std::nullopt;
    std::vector<std::uint8_t> bytes(max_request);
    Writer out(bytes);
    out.number(magic);
    out.number(token ? with_token : std::uint8_t{0});
    out.number(std::uint8_t{0});
    out.bytes(key.public_key().bytes);
    out.bytes(key.signer().verify_key().bytes);
    if (token) {
        out.number(static_cast<std::uint64_t>(token->number));
        out.bytes(prove(std::span(bytes).first(out.written()), *token));
    }
    put_text(out, name);
    out.bytes(key.signer().sign(std::span(bytes).first(out.written())));
    bytes.resize(out.written());
    return bytes;
}

Result<Request, Fault> check_request(Bytes bytes) {
    if (bytes.size() < signature_size || bytes.size() > max_request)
        return fail(Fault::malformed);
    const auto message = bytes.first(bytes.size() - signature_size);
    Reader in(message);
    const auto begin = in.number<std::uint32_t>();
    const auto flags = in.number<std::uint8_t>();
    const auto zero = in.number<std::uint8_t>();
    Request request;
    request.key = {get_key(in)};
    request.verify_key = {get_key(in)};
    if (flags == with_token) {
        request.token = TokenNumber{in.number<std::uint64_t>()};
        static_cast<void>(in.take(proof_size));
    }
    auto name = get_name(in, max_name);
    if (!in.at_end() || begin != magic || flags > with_token || zero != 0 || !name)
        return fail(Fault::malformed);
    if (!is_signed_by(request.verify_key, message, bytes.last(signature_size)))
        return fail(Fault::forged);
    request.name = std::move(*name);
    return request;
}

// The name is behind the proof. It is the token that says which name the node may have.
bool is_made_with(Bytes bytes, const Token& token) {
    if (bytes.size() < proof_offset + proof_size)
        return false;
    const auto proof = prove(bytes.first(proof_offset), token);
    return sodium_memcmp(proof.data(), bytes.subspan(proof_offset, proof_size).data(),
                         proof_size) == 0;
}

} // namespace ubf::identity
